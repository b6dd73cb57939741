"""The scaling decision, by tables and over time."""

from dataclasses import replace

import pytest

from testkit.fleet.policies import policy
from testkit.processes.cpu_time import takes_less_than
from visionfleet.config.scaler import ScheduleWindow
from visionfleet.scaler.cooldown import Cooldown
from visionfleet.scaler.decision import History, Observation, Policy, State, Worker
from visionfleet.scaler.sizing import Decide, decide, per_message

POLICY = policy(19, boot_seconds=30, hold_seconds=60, service_seconds=1)
NOW = 1000.0


def fleet(state: State, count: int, at: float = 0.0) -> tuple[Worker, ...]:
    """Workers that have been in one state since `at`, and reported just now."""
    at = NOW if state == "booting" else at
    return tuple(Worker(f"{state}{i}", state, at + i, at, NOW) for i in range(count))


@pytest.mark.parametrize(
    ("seen", "launch", "shows"),
    [
        (Observation(3, 0, ()), 1, "a few messages and no capacity always launch"),
        (Observation(1, 0, ()), 0, "one or two may be a wrong count: another look comes first"),
        (Observation(0, 0, ()), 0, "nothing to do, nothing launched"),
        (Observation(0, 5, ()), 0, "in flight without a worker is a phantom or comes back"),
        (Observation(100, 0, ()), 10, "100 images of 1 s within 10 s need 10"),
        (Observation(1000, 0, ()), 19, "never above the maximum"),
        (Observation(100, 0, fleet("booting", 10)), 0, "what boots already counts"),
        (Observation(100, 0, fleet("booting", 3)), 7, "only the rest is launched"),
        (Observation(60, 0, fleet("busy", 2)), 0, "2 are done in 30 s, as long as a boot takes"),
        (Observation(90, 0, fleet("busy", 2)), 1, "2 leave 30 images of 90, 3 clear those in 10 s"),
        (Observation(60, 30, fleet("busy", 2)), 1, "what is in flight is work too"),
        (Observation(9, 0, ()), 1, "9 images of 1 s within 10 s need 1"),
        (Observation(300, 0, fleet("booting", 10)), 9, "what boots has done nothing by then"),
        (Observation(3, 0, ()), 1, "the fewest that are in time"),
        (Observation(3, 0, fleet("draining", 1)), 1, "a draining worker is no capacity"),
        (Observation(1000, 0, fleet("draining", 19)), 0, "but it counts for the maximum"),
        (Observation(1000, 0, fleet("drained", 19)), 0, "so does one that is told to go"),
        (Observation(5, 0, fleet("failed", 1)), 1, "a failed one is no capacity"),
        (Observation(5, 0, fleet("crashing", 1)), 1, "nor one that crashes again and again"),
        (Observation(5, 0, fleet("failed", 19)), 0, "but they count for the maximum"),
        (Observation(3, 0, fleet("stopping", 1)), 1, "a stopping worker is no capacity"),
    ],
)
def test_launch_count_by_queue_and_fleet(seen: Observation, launch: int, shows: str) -> None:
    decision, _ = decide(seen, POLICY, History(), NOW)
    assert decision.launch == launch, shows


@pytest.mark.parametrize(
    ("worker", "gone", "shows"),
    [
        (Worker("w", "drained", 0, 0, NOW), True, "said that it is drained"),
        (Worker("w", "idle", 0, 0, NOW), False, "alive"),
        (Worker("w", "busy", 0, 0, NOW - 119), False, "silent, but not for long enough"),
        (Worker("w", "busy", 0, 0, NOW - 121), True, "silent for too long: dead"),
        (Worker("w", "stuck", 0, 0, NOW), True, "it reports, and makes no progress"),
        (Worker("w", "booting", NOW, NOW - 299), False, "still within its boot limit"),
        (Worker("w", "booting", NOW, NOW - 301), True, "never came up"),
        (Worker("w", "stopping", 0, 0, 0), False, "on its way out already"),
        (Worker("w", "failed", 0, 0, 0), False, "its fleet revives it"),
    ],
)
def test_only_drained_or_dead_workers_are_terminated(
    worker: Worker, gone: bool, shows: str
) -> None:
    decision, _ = decide(Observation(0, 0, (worker,)), POLICY, History(), NOW)
    assert decision.terminate == (("w",) if gone else ()), shows


def test_dead_worker_is_replaced_when_there_is_work() -> None:
    dead = Worker("w", "busy", 0, 0, NOW - 500)
    decision, _ = decide(Observation(3, 0, (dead,)), POLICY, History(), NOW)
    assert (decision.terminate, decision.launch) == (("w",), 1)


def test_maximum_is_mentioned_once_per_episode() -> None:
    crowd, calm = Observation(1000, 0, fleet("busy", 19)), Observation(1, 0, fleet("busy", 19))
    told, history = [], History()
    for at, seen in enumerate([crowd, crowd, crowd, calm, crowd, crowd]):
        decision, history = decide(seen, POLICY, history, NOW + at)
        told.append(decision.at_maximum)
    assert told == [True, False, False, False, True, False]
    assert "no more can be opened: 19 is the maximum" in decision.reason


def test_boot_and_service_times_are_learned_and_kept() -> None:
    slow = Observation(10, 0, fleet("busy", 1), boot_seconds=100, service_seconds=9)
    decision, history = decide(slow, POLICY, History(), NOW)
    assert decision.launch == 0, "1 worker is done in 90 s, another boots in 100 s"
    assert (history.boot_seconds, history.service_seconds) == (100, 9)
    decision, _ = decide(Observation(10, 0, ()), POLICY, history, NOW + 1)
    assert decision.launch == 9, "without workers the last times still hold"


def drains(
    policy: Policy, steps: list[tuple[float, Observation]], by: Decide = decide
) -> list[int]:
    """Play a time-line and return how many workers each step drains."""
    history, counts = History(), []
    for at, seen in steps:
        decision, history = by(seen, policy, history, at)
        counts.append(len(decision.drain))
    return counts


def test_scale_in_waits_for_the_hold_window() -> None:
    quiet = Observation(0, 0, fleet("idle", 3))
    assert drains(POLICY, [(NOW + t, quiet) for t in (0, 20, 40, 59, 60)]) == [0, 0, 0, 0, 3]


def test_one_message_restarts_the_hold_window() -> None:
    quiet, one = Observation(0, 0, fleet("idle", 3)), Observation(1, 0, fleet("idle", 3))
    timeline = [(NOW, quiet), (NOW + 50, one), (NOW + 60, quiet), (NOW + 120, quiet)]
    assert drains(POLICY, timeline) == [0, 0, 2, 3], "one was needed at 50, so two may go at 60"


def stream(rate: float, workers: int, start: float, end: float) -> list[tuple[float, Observation]]:
    """Looks at a fleet that keeps pace with `rate` images a second, every 5 s."""
    crew = fleet("idle", workers)
    looks = range(int(start), int(end), 5)
    return [(NOW + t, Observation(0, 8, crew, handled=rate * t)) for t in looks]


def test_single_low_reading_does_not_scale_in() -> None:
    low = (NOW + 60, Observation(0, 0, fleet("idle", 10), handled=600))
    assert sum(drains(POLICY, [*stream(10, 10, 0, 60), low])) == 0


def test_pace_policy_follows_the_arrival_rate() -> None:
    """9.5 images of 1 s a second keep 10 workers busy: none more, and in the end none less."""
    timeline = stream(9.5, 12, 0, 100)
    assert sum(drains(POLICY, timeline)) == 2 * 8, "10 stay; told at each look that 2 may go"
    history = History()
    for at, seen in timeline:
        decision, history = decide(replace(seen, workers=fleet("busy", 6)), POLICY, history, at)
    assert decision.launch == 4


def test_pace_policy_ignores_a_single_burst() -> None:
    """50 at once are 50 s of work for 2 workers' 60 s until a third would be up."""
    history, launched = History(), 0
    for second in range(0, 60, 5):
        waiting = max(0, 50 - 2 * (second - 20)) if second >= 20 else 0
        done = 50 - waiting if second >= 20 else 0
        seen = Observation(waiting, 0, fleet("busy", 2), handled=done)
        decision, history = decide(seen, POLICY, history, NOW + second)
        launched += decision.launch
    assert launched == 0


def test_spare_workers_are_kept_while_there_is_work() -> None:
    policy = POLICY.changed(spare=2)
    assert decide(Observation(3, 0, ()), policy, History(), NOW)[0].launch == 3
    assert decide(Observation(0, 0, ()), policy, History(), NOW)[0].launch == 0
    full, _ = decide(Observation(1000, 0, ()), policy, History(), NOW)
    assert full.launch == 19


def test_deciding_on_10_000_workers_takes_10_milliseconds() -> None:
    workers = (*fleet("busy", 5000), *fleet("idle", 4990), *fleet("drained", 10))
    policy, seen = replace(POLICY, maximum=10000), Observation(90000, 9000, workers)
    assert takes_less_than(0.010, lambda: decide(seen, policy, History(), NOW))


def test_scale_in_drains_the_longest_idle_and_no_busy_worker() -> None:
    workers = (
        *fleet("busy", 2),
        Worker("new", "idle", 900, 0, NOW),
        Worker("old", "idle", 5, 0, NOW),
    )
    seen = Observation(0, 2, workers)
    _, history = decide(replace(seen), POLICY, History(), NOW - 60)
    decision, _ = decide(seen, POLICY, history, NOW)
    assert decision.drain == ("old", "new"), "2 in flight are done by 1, in time"


def test_scale_in_uses_up_the_paid_minute() -> None:
    young = Observation(0, 0, (Worker("young", "idle", NOW, NOW - 59, NOW),))
    history = History(cooldown=Cooldown(since=0.0, peaks=((0.0, 0),)))
    decision, history = decide(young, POLICY, history, NOW)
    assert decision.drain == ()
    decision, _ = decide(young, POLICY, history, NOW + 1)
    assert decision.drain == ("young",)


def test_minimum_is_kept_and_restored() -> None:
    policy = POLICY.changed(minimum=2)
    quiet = Observation(0, 0, fleet("idle", 3))
    assert drains(policy, [(NOW, quiet), (NOW + 60, quiet)]) == [0, 1]
    decision, _ = decide(Observation(0, 0, ()), policy, History(), NOW)
    assert decision.launch == 2


def test_schedule_raises_the_minimum_within_the_maximum() -> None:
    night = ScheduleWindow(start="22:00", end="02:00", minimum=30)
    policy, nobody = POLICY.changed(minimum=2, schedule=(night,)), Observation(0, 0, ())
    assert decide(nobody, policy, History(), 7200.0)[0].launch == 2, "two in the morning"
    assert decide(nobody, policy, History(), 7199.0)[0].launch == 19


def test_restarted_scaler_observes_before_it_drains() -> None:
    assert drains(POLICY, [(NOW, Observation(0, 0, fleet("idle", 5)))]) == [0]


@pytest.mark.parametrize(
    ("seen", "launch", "drain"),
    [
        (Observation(5, 0, ()), 5, 0),
        (Observation(50, 0, fleet("busy", 3)), 16, 0),
        (Observation(0, 3, (*fleet("busy", 3), *fleet("idle", 2))), 0, 2),
        (Observation(0, 0, fleet("idle", 4)), 0, 4),
        (Observation(0, 3, ()), 0, 0),
    ],
)
def test_per_message_policy_is_one_worker_per_message(
    seen: Observation, launch: int, drain: int
) -> None:
    policy = POLICY.changed(paid_seconds=0)
    decision, _ = per_message(seen, policy, History(), NOW)
    assert (decision.launch, len(decision.drain)) == (launch, drain)
