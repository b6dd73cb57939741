"""What systemd says of the units, and which privileges a daemon has left."""

import json

import pytest

from testkit import ROOT
from testkit.machine.host import CLASSIFIERS, DAEMONS, SCALER, WEB, Host
from visionfleet.host.cpu_placement import Placement, drop_in

EXPOSURE = {WEB: 2.0, SCALER: 2.0, CLASSIFIERS[0]: 2.5}


def test_systemd_analyze_finds_no_fault(idle_host: Host) -> None:
    units = [
        name.replace("@.", "@0.")
        for name in sorted(path.name for path in (ROOT / "systemd").glob("visionfleet*"))
        if name.endswith((".service", ".target", ".path"))
    ]
    assert len(units) >= 7
    idle_host.machine.run("systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", *units)


@pytest.mark.parametrize("unit", EXPOSURE)
def test_systemd_exposure_stays_below_its_limit(idle_host: Host, unit: str) -> None:
    exposure, told = exposure_of(idle_host, unit)
    print(f"{unit}: {exposure}")
    assert exposure <= EXPOSURE[unit], told


def exposure_of(host: Host, unit: str) -> tuple[float, str]:
    told = host.machine.run("systemd-analyze", "security", "--no-pager", unit).stdout
    return float(told.strip().splitlines()[-1].partition(": ")[2].split()[0]), told


def test_gpu_access_costs_little_exposure(idle_host: Host) -> None:
    unit = "visionfleet-classifier@7.service"
    idle_host.machine.write(
        f"/run/systemd/system/{unit}.d/gpu.conf", drop_in(Placement(7, (0,), gpu=7))
    )
    idle_host.machine.systemctl("daemon-reload")
    exposure, told = exposure_of(idle_host, unit)
    assert exposure <= EXPOSURE[CLASSIFIERS[0]], told


def test_daemons_run_without_privileges(service: Host) -> None:
    for unit in DAEMONS:
        lines = service.machine.run("cat", f"/proc/{service.pid(unit)}/status").stdout.splitlines()
        status = {line.partition(":")[0]: line.partition(":")[2].split() for line in lines}
        assert status["NoNewPrivs"] == ["1"], unit
        assert status["Seccomp"] == ["2"], unit
        assert status["CapEff"] == status["CapBnd"] == ["0" * 16], unit
        assert "0" not in status["Uid"] + status["Gid"], unit


def test_limits_follow_the_size_of_the_host(service: Host) -> None:
    first = service.machine.run("cat", "/proc/meminfo").stdout.splitlines()[0]
    memory = int(first.split()[1]) * 1024
    for unit, share in {WEB: 0.6, SCALER: 0.25, CLASSIFIERS[0]: 0.9}.items():
        limit, used = (
            int(service.machine.show(unit, f"Memory{name}")) for name in ("Max", "Current")
        )
        assert limit == pytest.approx(share * memory, rel=0.01), unit
        tasks, running = (int(service.machine.show(unit, f"Tasks{n}")) for n in ("Max", "Current"))
        print(f"{unit}: {used >> 20} MiB of {limit >> 20}, {running} tasks of {tasks}")
        assert 10 * running < tasks, unit


def test_generator_makes_the_configured_classifiers(idle_host: Host) -> None:
    listed = idle_host.machine.run("visionfleet", "placement").stdout.splitlines()
    assert [f"{line.split()[0]}.service" for line in listed] == list(CLASSIFIERS)
    assert wanted(idle_host) == list(CLASSIFIERS)
    with idle_host.settings("classifier: {cpus_per_worker: 2}\n"):
        assert wanted(idle_host) == [CLASSIFIERS[0]]
    with idle_host.settings("classifier: {cpus_per_worker: many}\n"):  # one, to say what is wrong
        assert wanted(idle_host) == [CLASSIFIERS[0]]
    assert wanted(idle_host) == list(CLASSIFIERS)


def wanted(host: Host) -> list[str]:
    host.machine.systemctl("daemon-reload")
    return sorted(host.machine.show("visionfleet-classifiers.target", "Wants").split())


def test_first_boot_enables_no_unit(idle_host: Host) -> None:
    shown = json.loads(
        idle_host.machine.systemctl("list-unit-files", "visionfleet*", "--output=json")
    )
    assert {entry["preset"] for entry in shown} == {"disabled", None}
