"""The autoscaler in a simulated world over time: outages, restarts, garbage collection."""

import pytest

from testkit.fleet.scaler_world import (
    POLICY,
    Clock,
    FakeStore,
    FakeWorker,
    ScalerWorld,
    run,
    scaler,
    status_of,
)
from visionfleet.aws.s3 import Listed
from visionfleet.contract.messages import FleetStatus
from visionfleet.errors import TryLater
from visionfleet.scaler.decision import Decision
from visionfleet.scaler.garbage_collector import GarbageCollector
from visionfleet.scaler.status_store import StatusStore

# US East, in dollars per call: lists cost as much as writes; EC2 takes nothing.
PRICES = {"SQS": 0.40e-6, "S3 GET": 0.40e-6, "S3 PUT": 5e-6, "S3 LIST": 5e-6}
HOURS_PER_MONTH = 730


def test_fleet_grows_with_work_and_shrinks_after_it() -> None:
    world = ScalerWorld(queue=60)
    run(world, [scaler(world)], 600)
    assert world.queue == 0
    assert world.workers == {}
    assert 1 < world.peak <= POLICY.maximum
    assert {state for _, state in world.terminated} == {"drained"}
    assert [key for key in world.objects if key.startswith(("fleet/drain", "fleet/workers"))] == []


def test_worker_that_refuses_to_stop_stops_no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    world = ScalerWorld()
    executor = scaler(world).executor

    def refuse(_names: object) -> None:
        raise TryLater("operation refused")

    monkeypatch.setattr(executor.fleet, "terminate", refuse)
    with pytest.raises(TryLater, match="operation refused"):
        executor.carry_out(Decision(1, ("w1",), ("w0",)), lambda: True)
    assert (len(world.workers), "fleet/drain/w1" in world.objects) == (1, True)


@pytest.mark.parametrize("service", ["S3", "SQS", "EC2"])
def test_ten_minute_outage_changes_nothing_and_recovers(service: str) -> None:
    world = ScalerWorld(queue=100_000, boot_seconds=20)
    ours = scaler(world)
    run(world, [ours], 120)
    assert all(worker.state == "busy" for worker in world.workers.values())
    before = dict(world.workers)

    world.out = {service}
    assert run(world, [ours], 600) == 150, "every tick fails"
    assert world.workers == before, "the fleet is held"

    world.out = set()
    ours.tick()  # before any worker has had the time to report again
    assert run(world, [ours], 600) == 0
    assert world.workers.keys() == before.keys(), "nobody who was silent is taken for dead"
    world.queue = 0
    run(world, [ours], 600)
    assert world.workers == {}
    assert {state for _, state in world.terminated} == {"drained"}


def test_worker_booted_in_an_outage_gets_time_to_report() -> None:
    world = ScalerWorld(queue=100_000, boot_seconds=20)
    ours = scaler(world)
    run(world, [ours], 8)
    assert {worker.state for worker in world.workers.values()} == {"booting"}
    world.out = {"S3"}
    run(world, [ours], 600)
    world.out = set()
    names = set(world.workers)
    ours.tick()
    run(world, [ours], 400)
    assert set(world.workers) == names
    assert world.terminated == []


def test_silent_worker_is_still_replaced_after_an_outage() -> None:
    world = ScalerWorld(queue=100_000)
    ours = scaler(world)
    run(world, [ours], 120)
    silent = next(iter(world.workers))
    world.workers[silent].reported = ("busy", world.now + 10_000)
    run(world, [ours], 200)
    assert [name for name, _ in world.terminated] == [silent]


def test_slow_observation_changes_nothing() -> None:
    world = ScalerWorld(queue=10)
    ours = scaler(world)
    ours.leader_lease.renew()

    class Slow(Clock):
        """Half a minute passes between the look and the act."""

        def __call__(self) -> float:
            self.world.now += 31
            return super().__call__()

    ours.now = Slow(world)
    ours.tick()
    assert world.workers == {}


def test_restart_keeps_history_learned_times_and_drain_requests() -> None:
    world = ScalerWorld(queue=100_000)
    first = scaler(world, "a")
    run(world, [first], 200)
    assert first.history.boot_seconds == world.boot_seconds
    points = len(FleetStatus.decode(world.objects["fleet/status.json"][0].decode()).history)
    assert points > 3
    name = next(iter(world.workers))
    world.workers[name].state = "idle"
    world.put(f"fleet/drain/{name}", str(world.now).encode())
    first.leader_lease.release()

    second = scaler(world, "b")
    second.tick()
    status = FleetStatus.decode(world.objects["fleet/status.json"][0].decode())
    assert len(status.history) >= points
    assert status.boot_seconds == world.boot_seconds
    states = {w.name: w.state for w in second.observer.observe(world.now, world.now).workers}
    assert states[name] in {"draining", "busy"}
    world.workers.clear()
    third = scaler(world, "c")
    second.leader_lease.release()
    third.tick()
    assert third.history.boot_seconds == world.boot_seconds, "with no worker left to tell it"


def test_worker_reports_are_read_only_when_changed() -> None:
    world = ScalerWorld(queue=100_000)
    ours = scaler(world)
    run(world, [ours], 120)
    before = world.calls.copy()
    run(world, [ours], 120)
    calls = world.calls - before
    assert calls["S3 LIST"] == 30, "one a tick"
    most = 4 * len(world.workers)  # a report in 30 s each
    assert most * 3 / 4 <= calls["S3 GET"] <= most


def test_first_message_launches_at_the_next_tick() -> None:
    world = ScalerWorld()
    ours = scaler(world)
    run(world, [ours], 40)
    world.queue = 1
    run(world, [ours], 4)
    assert len(world.workers) == 1


def test_idle_month_costs_less_than_a_dollar_of_aws_calls() -> None:
    """An idle day, tick by tick, with a web process's queue in the sweeps."""
    world = ScalerWorld(reply_queues={"visionfleet-replies-h-1": replies(0)})
    ours = scaler(world)
    for _ in range(24):
        run(world, [ours], 3600)
    cost = sum(PRICES[name] * count for name, count in world.calls.items() if name in PRICES)
    monthly = cost / 24 * HOURS_PER_MONTH
    assert monthly < 0.95, dict(world.calls)
    assert world.calls["S3 GET"] <= 2, "idle, nothing is read from S3 after the start"


def replies(beat: float) -> dict[str, str]:
    return {"visionfleet": "replies", "heartbeat": str(int(beat))}


def test_garbage_collection_touches_stale_objects_only() -> None:
    world = ScalerWorld(queue=100_000)
    ours = scaler(world)
    old = world.now - 7200
    world.workers["i-member"] = FakeWorker(world.now, since=world.now)
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


def test_reply_queue_heartbeats_stale_from_an_outage_are_kept() -> None:
    world = ScalerWorld()
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


def test_failed_garbage_collection_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = ScalerWorld()
    ours = scaler(world)
    world.reply_queues = {"visionfleet-replies-dead": replies(0)}

    class Refusing(FakeStore):
        """Lists nothing."""

        def listed(self, prefix: str) -> list[Listed]:
            raise TryLater("list: no answer")

    ours.garbage_collector = GarbageCollector(ours.garbage_collector.queues, Refusing(world), 600.0)
    assert run(world, [ours], 7200) == 0
    assert world.reply_queues == {}
    assert caplog.text.count("house-keeping failed") == 1, "told once per episode"


def test_standby_scaler_collects_no_garbage() -> None:
    world = ScalerWorld()
    first, second = scaler(world, "a"), scaler(world, "b")
    first.garbage_collector.every_seconds = 1e9
    world.reply_queues = {"visionfleet-replies-dead": replies(0)}
    run(world, [first, second], 7200)
    assert "visionfleet-replies-dead" in world.reply_queues


def test_metrics_count_what_was_observed_and_done() -> None:
    world = ScalerWorld(queue=60)
    ours = scaler(world)

    def value(name: str, **labels: str) -> float | None:
        return ours.metrics.registry.get_sample_value(f"visionfleet_{name}", labels)

    run(world, [ours], 40)
    assert value("scaler_launches_total") == world.launched
    assert (value("scaler_lease_held"), value("workers_maximum")) == (1, 5)
    idle, busy = value("workers", state="idle"), value("workers", state="busy")
    assert (idle or 0) + (busy or 0) == len(world.workers)
    world.out = {"EC2"}
    run(world, [ours], 40)
    assert (value("scaler_ticks_total"), value("scaler_failed_ticks_total")) == (20, 10)
    world.out = set()
    run(world, [ours], 600)
    assert value("scaler_drains_total") == value("scaler_terminations_total") == world.launched
    assert value("workers_wanted") == 0


def test_status_of_another_version_is_replaced() -> None:
    world = ScalerWorld()
    world.put("fleet/status.json", b'{"v": 99}')
    assert StatusStore(FakeStore(world)).restore() is None
    run(world, [scaler(world)], 4)
    assert status_of(world)["holder"] == "a"
