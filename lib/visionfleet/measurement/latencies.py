"""Summarizes a load test: percentiles, and errors by kind. No I/O here."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SHARES = (0.5, 0.95, 0.99)
_LATE_SECONDS = 0.1  # the load generator is overloaded beyond this


@dataclass(frozen=True, slots=True)
class Sample:
    """One image: its due time, seconds from then to the response, error code.

    `late_seconds` of these passed before it was sent.
    """

    at: float
    seconds: float
    error: str | None = None
    late_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """`latencies` of answered images: p50, p95, p99, mean and max.

    `late` images were sent late: then the load was lower than requested.
    """

    sent: int
    answered: int
    errors: Mapping[str, int]
    latencies: Mapping[str, float]
    images_per_second: float
    late: int


def summary(samples: Sequence[Sample]) -> Summary:
    """The rate counts answers until the last image has ended."""
    seconds = sorted(sample.seconds for sample in samples if sample.error is None)
    errors = Counter(sample.error for sample in samples if sample.error is not None)
    until = max((sample.at + sample.seconds for sample in samples), default=0.0)
    rate = len(seconds) / until if until else 0.0
    late = sum(sample.late_seconds > _LATE_SECONDS for sample in samples)
    counts = dict(errors.most_common())
    return Summary(len(samples), len(seconds), counts, _named(seconds), rate, late)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The measured value that a `share` of the sorted values do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def _named(ordered: Sequence[float]) -> dict[str, float]:
    if not ordered:
        return {}
    found = {f"p{share * 100:g}": percentile(ordered, share) for share in SHARES}
    return found | {"mean": math.fsum(ordered) / len(ordered), "max": ordered[-1]}
