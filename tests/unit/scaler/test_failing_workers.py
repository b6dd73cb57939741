"""What does not work is no capacity: it is tried elsewhere, then rarely, and the fleet says why."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from testkit.fleet.policies import policy
from visionfleet.scaler.cooldown import Cooldown
from visionfleet.scaler.decision import Decision, History, Observation, State, Worker
from visionfleet.scaler.sizing import Decide, decide, per_message

POLICY = policy(8, boot_seconds=30, hold_seconds=60, service_seconds=1)
FAULT = "/birds.pt: cannot be read (model.path)"
START = 1000.0


def worker(name: str, state: State, at: float = START, **more: Any) -> Worker:
    return Worker(name, state, at, at, **more)


def over(
    seconds: float, fleet: Callable[[float], Observation], by: Decide = decide, step: float = 4.0
) -> list[tuple[float, Decision]]:
    """Decide every few seconds on what the fleet is by then."""
    history, made = History(), []
    for number in range(round(seconds / step)):
        now = START + number * step
        decision, history = by(fleet(now), POLICY, history, now)
        made.append((now, decision))
    return made


@pytest.mark.parametrize("by", [decide, per_message])
@pytest.mark.parametrize("bad", ["failed", "stuck", "crashing", "broken", "stopping"])
def test_good_worker_stays_beside_one_that_does_not_work(bad: State, by: Decide) -> None:
    def fleet(now: float) -> Observation:
        good = worker("good", "idle", START - 300, reported_at=now)
        return Observation(3, 0, (good, worker("bad", bad, START, reported_at=now)))

    assert not [decision for _, decision in over(200, fleet, by) if decision.drain]


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_silent_worker_is_replaced_and_no_capacity(state: State) -> None:
    silent = worker("silent", state, START - 500, reported_at=START - 121)
    decision, _ = decide(Observation(30, 0, (silent,)), POLICY, History(), START)
    assert (decision.terminate, decision.dead, decision.launch) == (("silent",), ("silent",), 3)
    assert "dead, silent has not reported for 121 s" in decision.reason


class Broken:
    """A fleet whose workers do not start: each says so a look after its launch."""

    def __init__(self, ended: bool) -> None:
        self.ended, self.workers, self.history = ended, dict[str, Worker](), History()
        self.starts: list[float] = []

    def tick(self, now: float, fault: str = FAULT) -> Decision:
        state: State = "broken" if self.ended else "failed"
        for name, one in self.workers.items():
            self.workers[name] = replace(one, state=state, fault=fault)
        seen = Observation(90, 0, tuple(self.workers.values()))
        decision, self.history = decide(seen, POLICY, self.history, now)
        for name in decision.terminate:
            del self.workers[name]
        for _ in range(decision.launch):
            self.starts.append(now)
            self.workers[f"w{len(self.starts)}"] = worker(f"w{len(self.starts)}", "booting", now)
        return decision


@pytest.mark.parametrize("ended", [True, False], ids=["ended by us", "kept by its fleet"])
def test_model_that_cannot_be_loaded_is_tried_rarely(ended: bool) -> None:
    """90 images: the first starts are for all of them, the others one at a time."""
    fleet = Broken(ended)
    told = [fleet.tick(START + 4.0 * look).reason for look in range(900)]
    assert len(fleet.workers) <= POLICY.maximum
    assert FAULT in told[7], "within 30 s"
    late = [at for at in fleet.starts if at >= START + 1800]
    assert len(late) <= 6, "in half an hour"
    assert len(fleet.starts) >= (20 if ended else 8), "but it is tried again and again"


def test_worker_that_comes_up_ends_the_caution() -> None:
    fleet = Broken(ended=True)
    for look in range(20):
        fleet.tick(START + 4 * look)
    assert fleet.history.failed_starts.fault == FAULT
    good = worker("good", "busy", START + 80, reported_at=START + 80)
    decision, history = decide(Observation(90, 0, (good,)), POLICY, fleet.history, START + 80)
    assert history.failed_starts.count == 0
    assert decision.launch == 5
    assert FAULT not in decision.reason


def test_one_bad_place_is_left_for_another() -> None:
    decision, _ = decide(Observation(3, 0, (worker("w0", "failed"),)), POLICY, History(), START)
    assert decision.launch == 1


def test_boot_limit_follows_what_boots_take() -> None:
    """Boots of 250 s are learned: 300 s is too short a limit then, 750 s is not."""
    for age, gone in ((700.0, ()), (751.0, ("w",))):
        seen = Observation(1, 0, (worker("w", "booting", START - age),), boot_seconds=250.0)
        assert decide(seen, POLICY, History(), START)[0].terminate == gone


def test_boot_that_is_cut_off_is_told_and_gets_longer() -> None:
    """Boots of 500 s, none of which was ever seen to end, under a limit of 300 s."""
    history, launches, told = History(), 0, ""
    launched: float | None = None
    for now in range(1000, 3000, 4):
        up = launched is not None and now - launched > 500
        state: State = "busy" if up else "booting"
        crew: tuple[Worker, ...] = ()
        if launched is not None:
            crew = (worker("w", state, launched, reported_at=now if up else None),)
        decision, history = decide(Observation(1, 0, crew), POLICY, history, float(now))
        told += decision.reason if decision.dead else ""
        launched = None if decision.terminate else launched
        if decision.launch:
            launched, launches = float(now), launches + 1
    assert "w was not up after 300 s" in told
    assert launches == 2, "600 s were enough for the second"
    assert history.failed_starts.count == 0


def test_lowered_maximum_drains_at_once() -> None:
    crew = [worker(f"busy{i}", "busy", START, reported_at=START) for i in range(6)]
    crew += [worker("idle", "idle", START - 5, reported_at=START), worker("late", "booting")]
    policy_ = replace(POLICY, maximum=3)
    decision, _ = decide(Observation(500, 90, tuple(crew)), policy_, History(), START)
    assert decision.drain[:2] == ("idle", "late"), "who has the least in flight goes first"
    assert len(decision.drain) == 5
    assert "drain 5: 3 is the maximum now" in decision.reason
    assert (decision.launch, decision.terminate) == (0, ())


def test_no_drain_while_what_waits_needs_the_worker() -> None:
    """19 boots cover all that waits by the time they are up; until then one works on it."""
    booting = [worker(f"w{i}", "booting", START - 70) for i in range(7)]
    idle = worker("idle", "idle", START - 300, reported_at=START)
    seen = Observation(1480, 0, (*booting, idle), boot_seconds=70.0, service_seconds=0.5)
    history = History(cooldown=Cooldown(START - 100, peaks=((START - 100, 0),)))
    assert decide(seen, POLICY, history, START)[0].drain == ()


def test_leave_and_death_are_two_sentences() -> None:
    left, died = worker("a", "drained", reported_at=START), worker("b", "stuck", reported_at=START)
    decision, _ = decide(Observation(0, 0, (left, died)), POLICY, History(), START)
    assert decision.reason == "terminate 1: drained; terminate 1: dead, b makes no progress"
    assert (decision.terminate, decision.dead) == (("a", "b"), ("b",))
