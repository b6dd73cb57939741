"""Distributes the classifiers of one machine over its CPUs and GPUs. No I/O here."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Cpu:
    number: int
    package: int = 0
    core: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    number: int
    cpus: tuple[int, ...]
    gpu: int | None = None


def placements(
    cpus: Sequence[Cpu], gpus: int, cpus_per_worker: int | None
) -> tuple[Placement, ...]:
    """One worker per GPU; without GPUs per so many CPUs; without a number a single worker.

    Threads of a core stay together, and so do the cores of a package.
    """
    ordered = [cpu.number for cpu in sorted(cpus, key=lambda c: (c.package, c.core, c.number))]
    count = gpus or max(1, len(ordered) // (cpus_per_worker or len(ordered)))
    if count > len(ordered):
        shares = [ordered] * count
    else:
        bounds = [len(ordered) * part // count for part in range(count + 1)]
        shares = [ordered[a:b] for a, b in pairwise(bounds)]
    return tuple(
        Placement(number, tuple(sorted(share)), number if gpus else None)
        for number, share in enumerate(shares)
    )


def drop_in(place: Placement) -> str:
    lines = ["[Service]", f"CPUAffinity={' '.join(map(str, place.cpus))}"]
    if place.gpu is not None:
        lines += [
            "Environment=CUDA_DEVICE_ORDER=PCI_BUS_ID",
            f"Environment=CUDA_VISIBLE_DEVICES={place.gpu}",
            # PrivateDevices= would hide the GPU; the list still excludes other devices.
            "PrivateDevices=no",
            "DevicePolicy=closed",
            *(f"DeviceAllow=char-{name} rw" for name in ("nvidia", "nvidia-frontend")),
            *(f"DeviceAllow=char-{name} rw" for name in ("nvidiactl", "nvidia-uvm")),
        ]
    return "\n".join(lines) + "\n"
