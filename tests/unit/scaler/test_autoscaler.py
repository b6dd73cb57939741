"""The scaler in a world of its own, on time-lines: leases, outages, restarts, house-keeping."""

import json

import pytest

from testkit.fleet.scaler_world import POLICY, Clock, FakeStore, Life, World, run, scaler, status_of
from visionfleet.contract.messages import FleetStatus
from visionfleet.errors import TryLater
from visionfleet.scaler.decision import decide
from visionfleet.scaler.garbage_collector import GarbageCollector
from visionfleet.scaler.status_store import StatusStore

# US East, in dollars per call: lists cost as much as writes; EC2 takes nothing.
PRICES = {"SQS": 0.40e-6, "S3 GET": 0.40e-6, "S3 PUT": 5e-6, "S3 LIST": 5e-6}
HOURS_PER_MONTH = 730


def test_work_brings_a_fleet_and_its_end_brings_it_down() -> None:
    world = World(queue=60)
    run(world, [scaler(world)], 600)
    assert world.queue == 0
    assert world.lives == {}
    assert 1 < world.peak <= POLICY.maximum
    assert {state for _, state in world.terminated} == {"drained"}
    assert [key for key in world.objects if key.startswith(("fleet/drain", "fleet/workers"))] == []


@pytest.mark.parametrize("service", ["S3", "SQS", "EC2"])
def test_ten_minutes_without_a_service_change_nothing_and_pass_by_themselves(service: str) -> None:
    world = World(queue=100_000, boot_seconds=20)
    ours = scaler(world)
    run(world, [ours], 120)
    assert all(life.state == "busy" for life in world.lives.values())
    before = dict(world.lives)

    world.out = {service}
    assert run(world, [ours], 600) == 150, "every tick fails"
    assert world.lives == before, "the fleet is held"

    world.out = set()
    ours.tick()  # before any worker has had the time to report again
    assert run(world, [ours], 600) == 0
    assert world.lives.keys() == before.keys(), "nobody who was silent is taken for dead"
    world.queue = 0
    run(world, [ours], 600)
    assert world.lives == {}
    assert {state for _, state in world.terminated} == {"drained"}


def test_a_worker_that_booted_in_an_outage_gets_its_chance_to_report() -> None:
    world = World(queue=100_000, boot_seconds=20)
    ours = scaler(world)
    run(world, [ours], 8)
    assert {life.state for life in world.lives.values()} == {"booting"}
    world.out = {"S3"}
    run(world, [ours], 600)
    world.out = set()
    names = set(world.lives)
    ours.tick()
    run(world, [ours], 400)
    assert set(world.lives) == names
    assert world.terminated == []


def test_the_silence_of_one_worker_still_counts() -> None:
    world = World(queue=100_000)
    ours = scaler(world)
    run(world, [ours], 120)
    silent = next(iter(world.lives))
    world.lives[silent].reported = ("busy", world.now + 10_000)
    run(world, [ours], 200)
    assert [name for name, _ in world.terminated] == [silent]


def test_a_look_that_took_too_long_changes_nothing() -> None:
    world = World(queue=10)
    ours = scaler(world)
    ours.leader_lease.renew()

    class Slow(Clock):
        """Half a minute passes between the look and the act."""

        def __call__(self) -> float:
            self.world.now += 31
            return super().__call__()

    ours.now = Slow(world)
    ours.tick()
    assert world.lives == {}


def test_a_second_scaler_stands_by_and_takes_over_when_the_first_is_gone() -> None:
    world = World(queue=100_000)
    first, second = scaler(world, "a"), scaler(world, "b")
    run(world, [first, second], 120)
    assert (first.acting, second.acting) == (True, False)
    names = set(world.lives)

    run(world, [second], 68)
    assert second.acting
    assert second.leader_lease.seen.term == 2
    assert set(world.lives) == names, "it neither doubled nor ended one"
    assert status_of(world)["holder"] == "b"


def test_a_released_lease_is_taken_at_the_next_look() -> None:
    world = World()
    first, second = scaler(world, "a"), scaler(world, "b")
    run(world, [first, second], 20)
    first.leader_lease.release()
    run(world, [second], 4)
    assert second.acting


def test_one_that_slept_through_its_term_acts_no_more() -> None:
    world = World()
    first, second = scaler(world, "a"), scaler(world, "b")
    run(world, [first, second], 20)
    run(world, [second], 80)
    world.queue = 10
    first.tick()
    assert not first.acting
    assert world.lives == {}, "the first saw the work, and left it to the second"
    second.tick()
    assert world.lives != {}


def test_one_that_slept_between_look_and_step_takes_no_step() -> None:
    world = World(queue=10)
    first, second = scaler(world, "a"), scaler(world, "b")
    first.leader_lease.renew()
    seen = first.observer.observe(world.now)
    decision, _ = decide(seen, POLICY, first.history, world.now)
    assert decision.launch

    world.pass_time(100)
    second.tick()
    there = set(world.lives)
    assert not first.executor.carry_out(decision, first.leader_lease.holds)
    assert set(world.lives) == there


def test_a_status_of_another_is_not_overwritten() -> None:
    world = World()
    first = scaler(world, "a")
    run(world, [first], 20)
    world.put("fleet/status.json", b'{"theirs": 1}')
    run(world, [first], 60)
    assert json.loads(world.objects["fleet/status.json"][0]).get("holder") == "a", (
        "the lease was looked up again, it is ours, and so is the record"
    )
    second = scaler(world, "b")
    run(world, [second], 80)
    theirs = world.objects["fleet/status.json"]
    for _ in range(3):
        first.tick()
    assert world.objects["fleet/status.json"] == theirs


@pytest.mark.parametrize("off_seconds", [-4.0, 4.0])
def test_clocks_of_two_hosts_may_differ_by_seconds(off_seconds: float) -> None:
    world = World(queue=100_000)
    pair = [scaler(world, "a"), scaler(world, "b", off_seconds)]
    for _ in range(300):
        run(world, pair, 4)
        assert sum(each.leader_lease.holds() for each in pair) <= 1
    assert world.peak <= POLICY.maximum
    assert world.terminated == []


def test_the_answer_to_a_renewal_may_get_lost() -> None:
    world = World()
    ours = scaler(world)
    run(world, [ours], 20)
    lease, store = ours.leader_lease, FakeStore(world)
    body, etag, _ = world.objects["fleet/lease.json"]
    store.put_json_if("fleet/lease.json", body.decode(), etag)  # S3 took it, and we do not know
    run(world, [ours], 120)
    assert ours.acting
    assert lease.seen.term == 1


def test_a_lease_that_cannot_be_read_is_written_over() -> None:
    world = World()
    world.put("fleet/lease.json", b"\xff{")
    ours = scaler(world)
    run(world, [ours], 4)
    assert ours.acting


def test_a_restart_keeps_history_learned_times_and_wishes() -> None:
    world = World(queue=100_000)
    first = scaler(world, "a")
    run(world, [first], 200)
    assert first.history.boot_seconds == world.boot_seconds
    points = len(FleetStatus.decode(world.objects["fleet/status.json"][0].decode()).history)
    assert points > 3
    name = next(iter(world.lives))
    world.lives[name].state = "idle"
    world.put(f"fleet/drain/{name}", str(world.now).encode())
    first.leader_lease.release()

    second = scaler(world, "b")
    second.tick()
    status = FleetStatus.decode(world.objects["fleet/status.json"][0].decode())
    assert len(status.history) >= points
    assert status.boot_seconds == world.boot_seconds
    states = {w.name: w.state for w in second.observer.observe(world.now).workers}
    assert states[name] in {"draining", "busy"}
    world.lives.clear()
    third = scaler(world, "c")
    second.leader_lease.release()
    third.tick()
    assert third.history.boot_seconds == world.boot_seconds, "with no worker left to tell it"


def test_reports_are_read_only_when_they_have_changed() -> None:
    world = World(queue=100_000)
    ours = scaler(world)
    run(world, [ours], 120)
    before = world.calls.copy()
    run(world, [ours], 120)
    calls = world.calls - before
    assert calls["S3 LIST"] == 30, "one a tick"
    most = 4 * len(world.lives)  # a report in 30 s each
    assert most * 3 / 4 <= calls["S3 GET"] <= most


def test_a_first_message_is_answered_with_a_launch_at_the_next_look() -> None:
    world = World()
    ours = scaler(world)
    run(world, [ours], 40)
    world.queue = 1
    run(world, [ours], 4)
    assert len(world.lives) == 1


def test_a_month_of_idling_costs_less_than_a_dollar() -> None:
    """An idle day, tick by tick, with a web process's queue in the sweeps."""
    world = World(reply_queues={"visionfleet-replies-h-1": replies(0)})
    ours = scaler(world)
    for _ in range(24):
        run(world, [ours], 3600)
    cost = sum(PRICES[name] * count for name, count in world.calls.items() if name in PRICES)
    monthly = cost / 24 * HOURS_PER_MONTH
    assert monthly < 0.95, dict(world.calls)
    assert world.calls["S3 GET"] <= 2, "idle, nothing is read from S3 after the start"


def replies(beat: float) -> dict[str, str]:
    return {"visionfleet": "replies", "heartbeat": str(int(beat))}


def test_the_house_is_kept_and_nothing_else_is_touched() -> None:
    world = World(queue=100_000)
    ours = scaler(world)
    old = world.now - 7200
    world.lives["i-member"] = Life(world.now, since=world.now)
    survivors = {"visionfleet-replies-untagged": {}, "other-replies-x": replies(old)}
    survivors |= {"visionfleet-requests": {}, "visionfleet-replies-foreign": {"heartbeat": "5"}}
    world.reply_queues = {"visionfleet-replies-dead": replies(old), **survivors}
    live = "visionfleet-replies-live"
    keys = ["results/gone.json", "fleet/notes.txt", "fleet/workers/a/b.json", "images/x"]
    for key in [*keys, "fleet/workers/gone.json", "fleet/drain/gone", "fleet/drain/i-member"]:
        world.put(key, b"0", at=old)
    for _ in range(8):
        world.reply_queues[live] = replies(world.now)
        run(world, [ours], 300)
        assert live in world.reply_queues
    assert world.reply_queues.keys() == {*survivors, live}
    assert {*keys, "fleet/drain/i-member"} <= world.objects.keys()
    assert not {"fleet/workers/gone.json", "fleet/drain/gone"} & world.objects.keys()


def test_heartbeats_that_grew_old_in_an_outage_are_forgiven() -> None:
    world = World()
    ours = scaler(world)
    name = "visionfleet-replies-live"
    world.reply_queues = {name: replies(world.now)}
    run(world, [ours], 40)
    world.out = {"SQS"}
    run(world, [ours], 7200)
    world.out = set()
    for _ in range(10):
        run(world, [ours], 200)
        assert name in world.reply_queues
        world.reply_queues[name] = replies(world.now)


def test_house_keeping_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    ours = scaler(world)
    world.reply_queues = {"visionfleet-replies-dead": replies(0)}

    class Refusing(FakeStore):
        """Lists nothing."""

        def listed(self, prefix: str) -> list:  # type: ignore[type-arg]
            raise TryLater("list: no answer")

    ours.garbage_collector = GarbageCollector(ours.garbage_collector.queues, Refusing(world), 600.0)
    assert run(world, [ours], 7200) == 0
    assert world.reply_queues == {}
    assert caplog.text.count("house-keeping failed") == 1, "told once per episode"


def test_a_scaler_that_stands_by_keeps_no_house() -> None:
    world = World()
    first, second = scaler(world, "a"), scaler(world, "b")
    first.garbage_collector.every_seconds = 1e9
    world.reply_queues = {"visionfleet-replies-dead": replies(0)}
    run(world, [first, second], 7200)
    assert "visionfleet-replies-dead" in world.reply_queues


def test_metrics_tell_what_was_seen_and_done() -> None:
    world = World(queue=60)
    ours = scaler(world)

    def value(name: str, **labels: str) -> float | None:
        return ours.metrics.registry.get_sample_value(f"visionfleet_{name}", labels)

    run(world, [ours], 40)
    assert value("scaler_launches_total") == world.launched
    assert (value("scaler_lease_held"), value("workers_maximum")) == (1, 5)
    idle, busy = value("workers", state="idle"), value("workers", state="busy")
    assert (idle or 0) + (busy or 0) == len(world.lives)
    world.out = {"EC2"}
    run(world, [ours], 40)
    assert (value("scaler_ticks_total"), value("scaler_failed_ticks_total")) == (20, 10)
    world.out = set()
    run(world, [ours], 600)
    assert value("scaler_drains_total") == value("scaler_terminations_total") == world.launched
    assert value("workers_wanted") == 0


def test_a_record_of_another_version_is_begun_anew() -> None:
    world = World()
    world.put("fleet/status.json", b'{"v": 99}')
    assert StatusStore(FakeStore(world)).restore() is None
    run(world, [scaler(world)], 4)
    assert status_of(world)["holder"] == "a"
