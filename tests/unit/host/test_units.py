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


# What a host of so much memory leaves to its processes, and Linux then allows in tasks: an eighth
# of the memory in stacks of 16 KiB, and no more than there are process ids.
HOSTS = {1: 945 << 20, 64: 63 << 30}
# Peaks that were measured (docs/runbook.md), and threads of a worker of two cores, and of 64.
MEMORY = {"web": 400 << 20, "scaler": 150 << 20, "classifier@": 791 << 20}
TASKS = {1: 200, 64: 1000}


@pytest.mark.parametrize("gibibytes", HOSTS)
@pytest.mark.parametrize("daemon", MEMORY)
def test_limits_fit_small_and_large_hosts(daemon: str, gibibytes: int) -> None:
    lines = (ROOT / "systemd" / f"visionfleet-{daemon}.service").read_text().splitlines()
    share = dict(line.split("=", 1) for line in lines if line.startswith(("MemoryMax", "TasksMax")))
    memory, tasks = (int(share[key].removesuffix("%")) / 100 for key in ("MemoryMax", "TasksMax"))
    host = HOSTS[gibibytes]
    assert MEMORY[daemon] <= memory * host <= 0.9 * host, "it fits, and something is left"
    assert TASKS[gibibytes] <= tasks * min(host // (8 * 16384), 4 << 20) <= 0.1 * (4 << 20)
