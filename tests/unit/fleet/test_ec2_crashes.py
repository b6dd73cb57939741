"""The EC2 fleet under crashes at every step, and with two scalers: no harm is done.

The decision, the fleet and its ledger are the real ones; AWS and the workers are not.
"""

import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from testkit.fleet.ec2_world import MAXIMUM, SPOT_FIRST, Ec2World, Scaler
from testkit.processes.stepping import SteppedWork

CODES = ["RequestLimitExceeded", "InternalError", "UnauthorizedOperation", "Unavailable"]
LONGEST_SECONDS = 7200


def settle(world: Ec2World, scalers: list[Scaler], lists_late: bool = False) -> None:
    """Run scalers in turn, without further faults, until all work is done and nobody is left."""
    if not lists_late:
        world.region.list_seconds = 0
    world.region.room.clear()
    world.region.spot_refused = ""
    world.region.faults.clear()
    world.lag_seconds = 0
    began = world.clock.now
    while world.clock.now < began + LONGEST_SECONDS:
        for scaler in scalers:
            scaler.tick()
        world.pass_time(10)
        if world.at_rest():
            return
    raise AssertionError(f"{world.waiting} jobs and {len(world.region.alive())} instances are left")


def begin(scaler: Scaler) -> SteppedWork:
    """Start a tick that stands still before each call."""
    scaler.running = SteppedWork(scaler.tick)
    return scaler.running


def end(scaler: Scaler) -> None:
    """Let a tick that was begun run to its end."""
    if scaler.running is not None:
        scaler.running.finish()
        scaler.running = None


def advanced(world: Ec2World, number: int, steps: int) -> tuple[Scaler, SteppedWork]:
    """Make a scaler that stands still after so many steps of a tick."""
    scaler = Scaler(world, number)
    tick = begin(scaler)
    for _ in range(steps):
        if tick.done:
            break
        tick.step()
    return scaler, tick


def steps_of(scenario: str) -> int:
    """Count the steps of the tick that a scenario leads to."""
    world, _ = SCENARIOS[scenario]()
    _, tick = advanced(world, 9, 0)
    count = 0
    while not tick.done:
        tick.step()
        count += 1
    return count


def crowd() -> tuple[Ec2World, list[Scaler]]:
    """Work for more than the maximum, and nobody there."""
    world = Ec2World(waiting=20)
    world.region.list_seconds = 100
    world.pass_time(5)
    return world, []


def short() -> tuple[Ec2World, list[Scaler]]:
    """The first offering has one machine left."""
    world, scalers = crowd()
    world.region.room[("c7i.large", "subnet-0000000a")] = 1
    return world, scalers


def lost() -> tuple[Ec2World, list[Scaler]]:
    """An earlier launch was not answered, and its instances are not listed yet."""
    world, _ = crowd()
    world.region.lost_answers["run_instances"] = 1
    scaler = Scaler(world, 1)
    scaler.tick()
    world.pass_time(5)
    return world, [scaler]


def drained() -> tuple[Ec2World, list[Scaler]]:
    """A worker has said that it is drained, and there is new work."""
    world = Ec2World(waiting=1)
    world.pass_time(5)
    scaler = Scaler(world, 1)
    while not any(worker.state == "drained" for worker in world.workers.values()):
        scaler.tick()
        world.pass_time(10)
    world.waiting = 3
    world.pass_time(5)
    return world, [scaler]


SCENARIOS = {"crowd": crowd, "short": short, "lost": lost, "drained": drained}
PAUSES_SECONDS = [0, 40, 400, 2000]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_crash_at_any_launch_step_does_no_harm(scenario: str) -> None:
    for steps in range(1, steps_of(scenario) + 1):
        world, _ = SCENARIOS[scenario]()
        _, tick = advanced(world, 2, steps)
        print(f"crash at step {steps}: {tick.at}")
        tick.crash()
        world.pass_time(5)
        settle(world, [Scaler(world, 3)], lists_late=True)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("pause_seconds", PAUSES_SECONDS)
def test_pause_at_any_launch_step_does_no_harm(scenario: str, pause_seconds: float) -> None:
    """Another acts meanwhile, as when a lease is taken over from a machine that hung."""
    for steps in range(1, steps_of(scenario) + 1):
        world, _ = SCENARIOS[scenario]()
        sleeper, tick = advanced(world, 2, steps)
        print(f"sleep at step {steps}: {tick.at}")
        other = Scaler(world, 3)
        for _ in range(4):
            other.tick()
            world.pass_time(max(5, pause_seconds / 4))
        end(sleeper)
        settle(world, [other, sleeper], lists_late=True)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_two_concurrent_scalers_do_no_harm(scenario: str) -> None:
    """One stands at any step while the other goes to any step; then they go on in turns."""
    count = steps_of(scenario)
    for first, second in itertools.product(range(1, count + 1), repeat=2):
        world, _ = SCENARIOS[scenario]()
        one, first_tick = advanced(world, 2, first)
        other, second_tick = advanced(world, 3, second)
        print(f"one at step {first}: {first_tick.at}, other at {second}: {second_tick.at}")
        while not (first_tick.done and second_tick.done):
            for tick in (first_tick, second_tick):
                if not tick.done:
                    tick.step()
                    world.check()
        one.running = other.running = None
        settle(world, [one, other], lists_late=True)


def test_simulated_world_detects_violations() -> None:
    """Its checks can fail: an instance too many, an end of a busy worker, a doubled launch."""
    world, _ = crowd()
    scaler = Scaler(world, 1)
    scaler.tick()
    assert len(world.region.alive()) == MAXIMUM
    machine = world.region.alive()[0]
    world.pass_time(60)
    world.region.ended.append(machine.id)
    with pytest.raises(AssertionError, match="ended while busy"):
        world.check()
    world.region.ended.clear()
    world.decided["1x1"] = MAXIMUM - 1
    with pytest.raises(AssertionError, match="carried out twice"):
        world.check()
    world.decided["1x1"] = MAXIMUM
    world.region.machines["i-extra"] = machine
    with pytest.raises(AssertionError, match="more than"):
        world.check()


class TwoScalers(RuleBasedStateMachine):
    """Two scalers, stepped, crashed and replaced at will, in a world that misbehaves at will."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Ec2World(settings=SPOT_FIRST)
        self.numbers = itertools.count()
        self.scalers = [Scaler(self.world, next(self.numbers)) for _ in range(2)]

    which = st.integers(0, 1)

    @rule(jobs=st.integers(1, 12))
    def work_comes(self, jobs: int) -> None:
        self.world.waiting += jobs

    @rule(seconds=st.sampled_from([5, 5, 5, 30, 100, 400]))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(which=which)
    def a_whole_tick(self, which: int) -> None:
        end(self.scalers[which])
        self.scalers[which].tick()

    @rule(which=which, steps=st.integers(1, 12))
    def some_steps(self, which: int, steps: int) -> None:
        scaler = self.scalers[which]
        tick = scaler.running or begin(scaler)
        for _ in range(steps):
            if not tick.done:
                tick.step()
        if tick.done:
            scaler.running = None

    @rule(which=which)
    def a_crash(self, which: int) -> None:
        tick = self.scalers[which].running
        if tick is not None:
            tick.crash()
        self.scalers[which] = Scaler(self.world, next(self.numbers))

    @rule(seconds=st.sampled_from([0, 0, 30, 290]))
    def lists_are_late(self, seconds: float) -> None:
        self.world.region.list_seconds = seconds

    @rule(seconds=st.sampled_from([0, 20, 60]))
    def counts_are_late(self, seconds: float) -> None:
        self.world.lag_seconds = seconds

    @rule(room=st.integers(0, 3))
    def machines_run_out(self, room: int) -> None:
        self.world.region.room[("c7i.large", "subnet-0000000a")] = room

    @rule(code=st.sampled_from(["", "", "SpotMaxPriceTooLow", "VcpuLimitExceeded"]))
    def spot_refuses(self, code: str) -> None:
        self.world.region.spot_refused = code

    @rule(
        operation=st.sampled_from(["run_instances", "describe_instances", "terminate_instances"]),
        code=st.sampled_from(CODES),
    )
    def a_call_fails(self, operation: str, code: str) -> None:
        self.world.region.fail(operation, code, status=400 if code.startswith("Un") else 503)

    @rule(operation=st.sampled_from(["run_instances", "terminate_instances"]))
    def an_answer_is_lost(self, operation: str) -> None:
        self.world.region.lost_answers[operation] += 1

    @precondition(lambda self: not self.world.bucket.lost_answers)
    @rule()
    def an_answer_of_s3_is_lost(self) -> None:
        self.world.bucket.lost_answers += 1

    @invariant()
    def nothing_forbidden_has_happened(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        for scaler in self.scalers:
            end(scaler)
        self.world.check()
        settle(self.world, self.scalers)


TwoScalers.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
test_two_scalers_in_a_hostile_world = TwoScalers.TestCase
