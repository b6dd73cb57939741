"""Reads which CPUs and GPUs this machine has, from sysfs: at boot no driver is loaded yet."""

import os
from pathlib import Path

from visionfleet.config.classifier import ClassifierSection
from visionfleet.host.cpu_placement import Cpu, Placement, placements

SYSFS = Path("/sys")
_NVIDIA = "0x10de"
_DISPLAY = "0x03"  # the class of GPUs, with and without an outlet for a screen


def cpus(sysfs: Path = SYSFS) -> tuple[Cpu, ...]:
    return tuple(_cpu(sysfs, number) for number in sorted(os.sched_getaffinity(0)))


def placed(settings: ClassifierSection) -> tuple[Placement, ...]:
    """Give the classifiers of this machine their CPUs and GPUs."""
    if settings.ec2_instance:  # the fleet knows one worker of this name
        return placements(cpus(), min(gpus(), 1), None)
    return placements(cpus(), gpus(), settings.cpus_per_worker)


def gpus(sysfs: Path = SYSFS) -> int:
    devices = (sysfs / "bus/pci/devices").glob("*")
    return sum(
        _text(device / "vendor") == _NVIDIA and _text(device / "class").startswith(_DISPLAY)
        for device in devices
    )


def _cpu(sysfs: Path, number: int) -> Cpu:
    topology = sysfs / f"devices/system/cpu/cpu{number}/topology"
    package, core = _text(topology / "physical_package_id"), _text(topology / "core_id")
    return Cpu(number, int(package or 0), int(core or number))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
