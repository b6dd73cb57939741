"""Learns boot and service times from the workers' reports. No I/O here."""

from collections.abc import Collection, Iterable

from visionfleet.contract.messages import WorkerReport
from visionfleet.scaler.boots import Boot


def boot_seconds(boots: Collection[Boot]) -> float | None:
    return _mean((boot.seconds, 1) for boot in boots)


def service_seconds(reports: Collection[WorkerReport]) -> float | None:
    """Seconds per image of an average worker: the mean of the rates.

    Older workers report only their latency, used if no worker reports its capacity.
    """
    able = [r.capacity_per_second for r in reports if r.capacity_per_second]
    if able:
        return len(able) / sum(able)
    return _mean((r.service_seconds, r.handled) for r in reports)


def _mean(values: Iterable[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in values if value is not None and weight > 0]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None
