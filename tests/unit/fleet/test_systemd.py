"""The fleet under systemd: what its units count as, and which of them are started."""

from pathlib import Path

import pytest

from testkit.aws.fakes import Clock
from testkit.fleet.fake_systemd import FakeSystemd
from visionfleet.config.classifier import ClassifierSection
from visionfleet.errors import Denied, TryLater
from visionfleet.fleet import systemd
from visionfleet.fleet.base import Member
from visionfleet.fleet.systemd import RETRY_SECONDS, SystemdFleet, lacking, unit_name

UNIT = [unit_name(number) for number in range(4)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def init(clock: Clock) -> FakeSystemd:
    return FakeSystemd(clock)


@pytest.fixture
def fleet(init: FakeSystemd, clock: Clock) -> SystemdFleet:
    return SystemdFleet("host", 3, 9, clock, lambda: init.stopping, init)


def states(fleet: SystemdFleet) -> dict[str, str]:
    return {member.name: member.state for member in fleet.members()}


def test_unit_is_a_worker_from_its_start_to_its_end(
    fleet: SystemdFleet, init: FakeSystemd, clock: Clock
) -> None:
    assert fleet.members() == []
    assert fleet.launch(1, "d") == ["host-0"]
    assert fleet.members() == [Member("host-0", clock(), "running")]
    init.unit(UNIT[0]).state = "active"
    fleet.terminate(["host-0"])
    assert states(fleet) == {"host-0": "stopping"}
    init.ends(UNIT[0])
    assert fleet.members() == []


def test_no_more_start_than_there_are_places_or_the_maximum(
    fleet: SystemdFleet, init: FakeSystemd
) -> None:
    fleet.maximum = 2
    assert fleet.launch(5, "d") == ["host-0", "host-1"]
    assert fleet.launch(5, "d") == []
    fleet.maximum = 9
    assert fleet.launch(5, "e") == ["host-2"], "there is no fourth place"
    assert init.started == UNIT[:3]


def test_unit_of_a_place_that_is_no_more_counts_until_its_end(
    fleet: SystemdFleet, init: FakeSystemd
) -> None:
    init.start(UNIT[3])
    init.start("visionfleet-classifier@debug.service")
    assert states(fleet) == {"host-3": "running"}
    fleet.maximum = 2
    assert fleet.launch(5, "d") == ["host-0"]


def test_refusal_counts_as_failed_with_its_reason(fleet: SystemdFleet, init: FakeSystemd) -> None:
    fleet.launch(1, "d")
    init.ends(UNIT[0], "exit-code", 78)
    (member,) = fleet.members()
    assert (member.state, "refuses to start, status 78" in member.fault) == ("failed", True)
    assert "visionfleet-classifier@0.service" in member.fault


def test_failed_unit_is_tried_again_later_and_last_of_all(
    fleet: SystemdFleet, init: FakeSystemd, clock: Clock
) -> None:
    fleet.launch(1, "d")
    init.ends(UNIT[0], "exit-code", 78)
    assert fleet.launch(1, "e") == ["host-1"], "another place is tried first"
    init.ends(UNIT[1], "exit-code", 78)
    clock.now += RETRY_SECONDS + 1
    assert fleet.members() == [], "a person may have mended it"
    assert fleet.launch(2, "f") == ["host-2", "host-0"]


def test_unclean_stop_that_was_asked_for_is_no_failure(
    fleet: SystemdFleet, init: FakeSystemd
) -> None:
    fleet.launch(1, "d")
    init.unit(UNIT[0]).state = "active"
    fleet.terminate(["host-0"])
    init.ends(UNIT[0], "timeout", 9)
    assert fleet.members() == []
    init.start(UNIT[1])
    assert fleet.launch(2, "e") == ["host-2", "host-0"]


def test_unit_that_crashes_is_a_new_life_of_its_worker(
    fleet: SystemdFleet, init: FakeSystemd, clock: Clock
) -> None:
    fleet.launch(1, "d")
    began = clock()
    clock.now += 10
    init.crashes(UNIT[0])
    assert fleet.members() == [Member("host-0", began + 10, "running")]
    fleet.terminate(["host-0"])
    assert fleet.launch(3, "e") == ["host-1", "host-2", "host-0"], "it did not come up"


def test_terminate_of_one_that_is_gone_is_fine(fleet: SystemdFleet, init: FakeSystemd) -> None:
    fleet.terminate(["host-0", "other-1", "i-0abc"])
    assert init.units == {}


def test_nobody_is_launched_while_all_of_it_stops(fleet: SystemdFleet, init: FakeSystemd) -> None:
    init.stopping = True
    assert fleet.launch(1, "d") == []
    other = SystemdFleet("host", 3, 9, init.now, lambda: False, init)
    assert other.launch(1, "d") == []
    assert "destructive" in other.alarms()[0]
    assert init.started == []


def test_units_started_during_a_stop_of_all_are_stopped(init: FakeSystemd) -> None:
    fleet = SystemdFleet("host", 3, 9, init.now, lambda: len(init.started) > 1, init)
    assert fleet.launch(3, "d") == []
    assert init.started == UNIT[:3]
    assert {init.unit(name).state for name in UNIT[:3]} == {"inactive"}


def test_masked_unit_is_left_for_another(fleet: SystemdFleet, init: FakeSystemd) -> None:
    init.masked = {UNIT[0]}
    assert fleet.launch(1, "d") == ["host-1"]
    assert fleet.alarms() == (f"host-0: systemd: Failed to start {UNIT[0]}: Unit is masked.",)
    assert fleet.launch(2, "e") == ["host-2"], "it is asked last"
    init.masked = set()
    assert fleet.launch(1, "f") == ["host-0"]
    assert fleet.alarms() == ()


def test_silence_of_systemd_passes_and_its_refusal_does_not(
    fleet: SystemdFleet, init: FakeSystemd
) -> None:
    init.answers = False
    with pytest.raises(TryLater, match="timed out"):
        fleet.members()
    init.answers, init.allowed = True, False
    assert fleet.members() == []
    with pytest.raises(Denied, match=r"50-visionfleet\.rules"):
        fleet.launch(1, "d")


@pytest.fixture
def booted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(systemd, "find_spec", lambda name: name)
    return tmp_path


def test_what_is_there_lacks_nothing(init: FakeSystemd, booted: Path) -> None:
    init.start(UNIT[0])
    assert lacking(ClassifierSection(), init, booted) == ""
    assert init.unit(UNIT[0]).state == "activating", "the look ends nobody"


def test_check_says_what_is_missing(
    init: FakeSystemd, booted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = ClassifierSection()
    instance = ClassifierSection(ec2_instance=True)
    assert "does not run this machine" in lacking(ours, init, booted / "none")
    assert "classifier.ec2_instance: must be false" in lacking(instance, init, booted)
    init.loaded = "not-found"
    assert "@0.service is not-found; `sudo visionfleet install`" in lacking(ours, init, booted)
    init.loaded, init.allowed = "loaded", False
    assert "systemd lets us start no classifiers" in lacking(ours, init, booted)
    init.answers = False
    assert lacking(ours, init, booted) == "", "it may answer in a moment"
    monkeypatch.setattr(systemd, "find_spec", lambda _: None)
    assert "EXTRAS=classifier" in lacking(ours, init, booted)
