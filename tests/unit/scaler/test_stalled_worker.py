"""A worker that takes nothing though images wait is replaced, and a good one is never blamed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from testkit.fleet.policies import policy
from visionfleet.scaler.decision import History, Observation, Policy, Worker
from visionfleet.scaler.sizing import Decide, decide, per_message
from visionfleet.scaler.stalled_worker import STALLED_SECONDS

POLICY = policy(20, boot_seconds=30, hold_seconds=60, service_seconds=1)
START, STEP, BOOT = 1000.0, 4.0, 20.0


def workers(*names: str, **more: object) -> dict[str, Worker]:
    first = Worker("", "idle", START, START - 500)
    return {name: replace(first, name=name, **more) for name in names}  # type: ignore[arg-type]


@dataclass
class Fleet:
    """Does what is decided; a worker that is drained is gone, and one that is launched takes what
    `visible` says unless its name begins with `takes_nothing`.
    """

    workers: dict[str, Worker]
    visible: Callable[[float], int] = lambda _: 1
    handled: Callable[[float], float] = lambda _: 0.0
    by: Decide = decide
    policy: Policy = POLICY
    history: History = field(default_factory=History)
    now: float = START
    drained: list[tuple[str, float]] = field(default_factory=list)

    def play(self, seconds: float, step: float = STEP) -> "Fleet":
        end = self.now + seconds
        while self.now < end:
            there = tuple(replace(w, reported_at=self.now) for w in self.workers.values())
            seen = Observation(self.visible(self.now), 0, there, handled=self.handled(self.now))
            decision, self.history = self.by(seen, self.policy, self.history, self.now)
            for name in decision.drain:
                self.drained.append((name, self.now - START))
                del self.workers[name]
            for number in range(decision.launch):
                name = f"new-{self.now:.0f}-{number}"
                self.workers |= {name: Worker(name, "idle", self.now, self.now)}
            self.now += step
        return self

    def names(self) -> list[str]:
        return [name for name, _ in self.drained]


@pytest.mark.parametrize("by", [decide, per_message])
def test_lone_deaf_worker_is_replaced_for_one_image(by: Decide) -> None:
    fleet = Fleet(workers("deaf"), by=by).play(STALLED_SECONDS)
    assert (fleet.drained, list(fleet.workers)) == ([], ["deaf"])
    fleet.play(2 * STEP)
    assert fleet.names() == ["deaf"]
    assert len(fleet.workers) == 1, "another is launched in the same tick"


def test_reason_says_who_took_nothing() -> None:
    fleet = Fleet(workers("deaf")).play(STALLED_SECONDS + STEP)
    seen = Observation(1, 0, (replace(fleet.workers["deaf"], reported_at=fleet.now),))
    decision, _ = decide(seen, POLICY, fleet.history, fleet.now)
    assert decision.reason == (
        "launch 1: 1 waiting and 0 in flight need 1, there are 0; "
        "drain 1: deaf took nothing for 300 s though images wait"
    )


def test_wrong_count_costs_one_worker_at_most() -> None:
    """Whoever comes takes nothing either: there is nothing to take, or nobody can."""
    fleet = Fleet(workers("a", "b", "c"), policy=POLICY.changed(minimum=3)).play(7200)
    assert len(fleet.drained) == 1
    assert len(fleet.workers) == 3


@pytest.mark.parametrize("visible", [lambda t: 50 * (t % 300 > 8), lambda t: int(t < START + 290)])
def test_count_that_comes_to_nothing_blames_nobody(visible: Callable[[float], int]) -> None:
    fleet = Fleet(workers("a", "b"), visible, policy=POLICY.changed(minimum=2)).play(7200)
    assert fleet.drained == []


@pytest.mark.parametrize("every_seconds", [1, 10, 50])
def test_images_taken_as_they_come_blame_nobody(every_seconds: int) -> None:
    """Each count shows one of them, and most of twenty workers have nothing to do for long."""
    fleet = Fleet(
        workers(*map(str, range(20))),
        handled=lambda now: (now - START) // every_seconds,
        policy=POLICY.changed(minimum=20),
    )
    assert fleet.play(7200).drained == []


def test_deaf_worker_beside_busy_ones_is_found() -> None:
    crew = workers("deaf") | workers("a", "b", state="busy")
    fleet = Fleet(crew, lambda _: 500, lambda now: (now - START) * 2).play(STALLED_SECONDS + 8)
    assert fleet.names() == ["deaf"]


def test_all_deaf_ones_are_found_one_after_the_other() -> None:
    crew: Mapping[str, Worker] = workers("a", "b") | workers("c", launched_at=START - 100)
    fleet = Fleet(dict(crew), lambda _: 40, policy=replace(POLICY, maximum=3))
    while len(fleet.drained) < 3 and fleet.now < START + 4 * STALLED_SECONDS:
        fleet.play(STEP)
        new = [name for name in fleet.workers if name.startswith("new")]
        fleet.workers |= {name: replace(fleet.workers[name], state="busy") for name in new}
    assert fleet.names() == ["a", "b", "c"]


def test_worker_that_handles_between_two_looks_is_not_deaf() -> None:
    """Each of its reports says idle, since before: what it did was over by then."""
    fleet = Fleet(workers("quick"))
    for number in range(60):
        fleet.workers["quick"] = replace(fleet.workers["quick"], handled=number)
        fleet.play(60)
    assert fleet.drained == []


def test_looks_that_are_far_apart_blame_nobody() -> None:
    fleet = Fleet(workers("a"), policy=POLICY.changed(minimum=1)).play(7200, step=120)
    assert fleet.drained == []


def test_watch_begins_anew_with_an_empty_queue() -> None:
    fleet = Fleet(
        workers("a"), lambda now: int(now != START + 160), policy=POLICY.changed(minimum=1)
    )
    assert fleet.play(STALLED_SECONDS + 100).drained == []
    assert fleet.play(100).names() == ["a"]
