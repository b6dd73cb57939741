"""What users of other autoscalers complain of, each as a scenario that this one must pass."""

from dataclasses import replace
from random import Random

import pytest

from bench.rivals import Keda
from tests.unit.simulation.test_world import POLICY
from visionfleet.scaler.decision import Decision, History, Observation, State, Worker
from visionfleet.scaler.sizing import decide
from visionfleet.simulation.conditions import Conditions
from visionfleet.simulation.controllers import PolicyController, controller
from visionfleet.simulation.outcome import Outcome
from visionfleet.simulation.world import World

CALM = Conditions(noise=0, phantoms=0)
NOW = 10_000.0


def play(arrivals: list[int], conditions: Conditions = CALM) -> Outcome:
    return World(conditions, controller("pace", POLICY)).run(arrivals)


def worker(name: str, state: State = "idle", age: float = 1000.0, silent: float = 0.0) -> Worker:
    return Worker(name, state, NOW - age, NOW - age, NOW - silent)


def settled(seen: Observation) -> tuple[Decision, History]:
    """Look at the same thing for longer than the hold window."""
    history = History()
    for step in range(40):
        _, history = decide(seen, POLICY, history, NOW - 160 + 4 * step)
    return decide(seen, POLICY, history, NOW)


def test_1_scale_in_never_kills_a_busy_worker() -> None:
    """A load that falls again and again: others choose the victim blindly."""
    falling = ([20] * 300 + [2] * 400) * 4
    assert play(falling).busy_kills == 0
    keda = World(CALM, Keda(1.0, POLICY.maximum, Random(2))).run(falling)
    assert keda.busy_kills > 0, "the scenario would show it"


def test_2_messages_in_flight_are_not_an_empty_queue() -> None:
    crew = tuple(worker(f"w{i}", "busy") for i in range(8))
    decision, _ = settled(Observation(0, 8, crew))
    assert (decision.drain, decision.terminate) == ((), ())


def test_3_sparse_traffic_does_not_launch_per_image() -> None:
    """An image every 90 s: one worker stays, because each image begins its hold window anew."""
    sparse = ([1] + [0] * 89) * 40
    outcome = play(sparse)
    assert outcome.launches == 1
    assert outcome.wait_quantile(0.9) <= 1


def test_4_fleet_size_follows_throughput_not_depth() -> None:
    """A steady 10 a second need 5 workers, with a queue that stays empty."""
    outcome = play([10] * 3600)
    sizes = [size for second, _, size in outcome.timeline if second > 600]
    assert min(sizes) >= 5
    assert max(sizes) <= 7
    assert outcome.wait_quantile(0.95) <= 60


def test_5_phantom_queue_counts_cost_next_to_nothing() -> None:
    """Counts of one or two too many, now and then, at a queue that is empty for a night."""
    assert play([0] * 3600, replace(CALM, phantoms=0.1)).peak_workers <= 1
    night = play([0] * 3600 * 8, replace(CALM, phantoms=0.01))
    assert night.billed_hours < 0.2, "it is rare that two looks in a row are wrong"
    decision, _ = decide(Observation(0, 5, ()), POLICY, History(), NOW)
    assert decision.launch == 0, "in flight without a worker is nobody's work"


def test_6_booting_workers_are_not_launched_again() -> None:
    slow = replace(CALM, boot_seconds=300.0, boot_spread=0.0)
    outcome = play([20] + [0] * 900, slow)
    assert outcome.launches == 1, "10 s of work, as its target allows"


def test_7_one_message_scales_the_fleet_from_zero() -> None:
    outcome = play([0] * 100 + [1] + [0] * 300)
    assert outcome.served == 1
    assert outcome.wait_quantile(1.0) <= 100
    first, history = decide(Observation(1, 0, ()), POLICY, History(), NOW)
    assert (first.launch, first.recheck) == (0, True), "a look that may be wrong"
    decision, _ = decide(Observation(1, 0, ()), POLICY, history, NOW + 1)
    assert (decision.launch, decision.recheck) == (1, False)


@pytest.mark.parametrize(
    ("zombie", "why"),
    [
        (worker("dead", "busy", silent=121), "it has stopped reporting"),
        (Worker("deaf", "booting", NOW - 301, NOW - 301), "it has never reported"),
    ],
)
def test_8_zombies_are_replaced_within_minutes(zombie: Worker, why: str) -> None:
    decision, _ = decide(Observation(3, 0, (zombie,)), POLICY, History(), NOW)
    assert decision.terminate == (zombie.name,), why
    assert decision.launch == 1


def test_8_zero_seconds_never_means_for_ever() -> None:
    quiet = Observation(0, 0, (worker("idle"),))
    decision, _ = decide(quiet, POLICY.changed(hold_seconds=0), History(), NOW)
    assert decision.drain == ("idle",)


def test_9_draining_workers_are_no_capacity() -> None:
    leaving = tuple(worker(f"w{i}", "draining") for i in range(4))
    decision, _ = decide(Observation(30, 0, leaving), POLICY, History(), NOW)
    assert decision.launch == 2, "30 images of 0.5 s within 10 s"


def test_10_restart_keeps_the_fleet_and_the_hold_window() -> None:
    crew = tuple(worker(f"w{i}") for i in range(6))
    decision, _ = decide(Observation(0, 0, crew), POLICY, History(), NOW)
    assert not decision.changes, "a new scaler watches for a whole window before it drains"


def test_11_termination_is_repeated_until_observed() -> None:
    drained = Observation(0, 0, (worker("done", "drained"),))
    history = History()
    for tick in range(5):
        decision, history = decide(drained, POLICY, history, NOW + tick)
        assert decision.terminate == ("done",)
    gone = Observation(0, 0, (worker("done", "stopping"),))
    assert decide(gone, POLICY, history, NOW + 9)[0].terminate == ()


def test_12_and_13_slow_boots_do_not_overprovision() -> None:
    """A step from 2 to 12 a second with boots of two minutes: 6 workers are needed."""
    slow = replace(CALM, boot_seconds=120.0)
    step = [2] * 900 + [12] * 2700
    outcome = play(step, slow)
    end = [size for second, _, size in outcome.timeline if second > 2400]
    assert max(end) <= 8
    assert outcome.unserved == 0


def test_14_worker_that_got_work_is_not_terminated() -> None:
    """Asked to drain, it finishes what it has: only its own word ends it."""
    asked = Observation(2, 1, (worker("asked", "draining"),))
    decision, _ = decide(asked, POLICY, History(), NOW)
    assert decision.terminate == ()


def test_simulation_uses_the_decision_of_the_daemon() -> None:
    made = controller("pace", POLICY)
    assert isinstance(made, PolicyController)
    assert made.decide is decide
    assert made.policy is POLICY
