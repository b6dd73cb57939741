"""The units say who is started again, and who is not."""

import pytest

from testkit import ROOT

RESTARTED = [
    path.name
    for path in sorted((ROOT / "systemd").glob("*.service"))
    if "\nRestart=" in path.read_text()
]


@pytest.mark.parametrize("unit", RESTARTED)
def test_no_number_of_restarts_ends_a_unit_for_good(unit: str) -> None:
    lines = (ROOT / "systemd" / unit).read_text().splitlines()
    assert "StartLimitIntervalSec=0" in lines
    assert "RestartPreventExitStatus=78" in lines, "a faulty configuration is a person's to mend"
    assert not [line for line in lines if line.startswith("StartLimitBurst")]


def test_all_daemons_are_restarted() -> None:
    daemons = {"web", "scaler", "classifier@"}
    assert {f"visionfleet-{daemon}.service" for daemon in daemons} <= set(RESTARTED)
