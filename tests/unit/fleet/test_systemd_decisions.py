"""The scaler's own decisions over a machine whose units refuse to start, and are mended."""

from typing import Any, cast

from testkit.aws.fakes import Clock
from testkit.fleet.fake_systemd import FakeSystemd
from testkit.fleet.policies import policy
from visionfleet.aws.sqs import Counts
from visionfleet.fleet.systemd import SystemdFleet
from visionfleet.scaler.decision import Decision, History
from visionfleet.scaler.incarnations import SeenReport
from visionfleet.scaler.observation import FleetObserver
from visionfleet.scaler.sizing import decide

POLICY = policy(2, boot_seconds=5, hold_seconds=60, service_seconds=1)


class Waiting:
    """Five images wait, and no worker has ever reported."""

    def counts(self) -> Counts:
        return Counts(5, 0)

    def read(self, workers: list[str], _now: float) -> list[SeenReport]:
        return [SeenReport() for _ in workers]


class Machine:
    def __init__(self) -> None:
        self.clock = Clock()
        self.init = FakeSystemd(self.clock)
        self.fleet = SystemdFleet("host", 2, 2, self.clock, lambda: False, self.init)
        waiting = cast(Any, Waiting())
        self.observer = FleetObserver(waiting, self.fleet, waiting)
        self.history = History()

    def look(self) -> Decision:
        self.clock.now += 4
        seen = self.observer.observe(self.clock(), self.clock())
        decision, self.history = decide(seen, POLICY, self.history, self.clock())
        self.fleet.terminate(decision.terminate)
        self.fleet.launch(decision.launch, "d")
        return decision


def test_refusing_units_are_tried_ever_more_rarely() -> None:
    machine, refused = Machine(), 0
    for _ in range(900):  # an hour
        machine.look()
        for name in machine.init.started[refused:]:
            machine.init.ends(name, "exit-code", 78)
        refused = len(machine.init.started)
    assert 10 < refused < 25
    assert "refuses to start, status 78" in machine.history.failed_starts.fault
    assert len(set(machine.init.started)) == 2, "both places are tried"


def test_mended_unit_comes_up_without_a_restart_of_the_scaler() -> None:
    machine = Machine()
    machine.look()
    machine.look()
    for name in machine.init.started:
        machine.init.ends(name, "exit-code", 78)
    before = len(machine.init.started)
    for _ in range(30):
        machine.look()
    assert len(machine.init.started) > before
    states = {member.state for member in machine.fleet.members()}
    assert states == {"running"}


def test_unit_that_ends_before_it_is_ready_leaves_its_place() -> None:
    machine = Machine()
    machine.fleet.maximum = 1
    while not machine.init.started:
        machine.look()
    (first,) = machine.init.started
    while len(machine.init.started) < 2:
        if machine.init.unit(first).state == "activating":
            machine.init.crashes(first)
        machine.look()
    assert machine.init.unit(first).state == "inactive"
    assert machine.init.started[1] != first
