"""Reads CPUs and GPUs from sysfs, as no driver is loaded yet at boot."""

import os
from pathlib import Path

from visionfleet.config.classifier import ClassifierSection
from visionfleet.host.cpu_placement import Cpu, Placement, placements

SYSFS = Path("/sys")
_NVIDIA = "0x10de"
_DISPLAY = "0x03"  # the PCI class of GPUs, with or without a display


def cpus(sysfs: Path = SYSFS) -> tuple[Cpu, ...]:
    return tuple(_cpu(sysfs, number) for number in sorted(os.sched_getaffinity(0)))


def placed(settings: ClassifierSection) -> tuple[Placement, ...]:
    if settings.ec2_instance:  # the fleet expects one worker per instance
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
