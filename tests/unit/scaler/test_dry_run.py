"""The dry run: what it says the scaler would do."""

import pytest

from testkit.fleet.scaler_world import POLICY, FakeStore, ScalerWorld, scaler
from visionfleet.config.scaler import ScheduleWindow
from visionfleet.scaler import dry_run
from visionfleet.scaler.decision import Decision
from visionfleet.scaler.dry_run import steps
from visionfleet.scaler.status_store import StatusStore


def test_dry_run_says_decisions_in_words() -> None:
    made = Decision(launch=2, drain=("a",), terminate=("b",), reason="so")
    assert steps(made) == [
        "would launch 2",
        "would ask a to drain",
        "would terminate b",
        "because: so",
    ]
    assert steps(Decision(reason="hold")) == ["would do nothing", "because: hold"]


def test_dry_run_follows_the_schedule(capsys: pytest.CaptureFixture[str]) -> None:
    world = ScalerWorld()
    always = ScheduleWindow(start="00:00", end="00:00", minimum=2)
    policy = POLICY.changed(schedule=(always,))
    ours, store = scaler(world), StatusStore(FakeStore(world))
    assert dry_run.run(ours.observer, store, policy, ours.now, bool) == 0
    assert capsys.readouterr().out.startswith("would launch 2\n")
    assert world.workers == {}
