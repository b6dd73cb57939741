"""Which settings of a host are worth a trial, and which of those are best. No I/O here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from visionfleet.measurement.latencies import percentile

# Two trials that differ by less are alike: then the one that answers sooner is taken.
_ALIKE = 0.97
BATCHES = (1, 2, 4, 8, 16, 32)
# Images in a worker's hands for each of a batch: one batch is computed, others are decoded.
_HANDS = (1, 2, 4)
_USUAL_HANDS = 2


@dataclass(frozen=True, slots=True)
class HostSettings:
    """So many workers, each with `threads` and as many CPUs."""

    workers: int
    threads: int
    batch_size: int
    prefetch: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What all workers did together; latencies from an image's decoding to its answer."""

    settings: HostSettings
    images_per_second: float
    p50_seconds: float
    p95_seconds: float


def shapes(cores: int) -> list[tuple[int, int]]:
    """List workers and threads that fill the cores: one worker first, and one a core last."""
    sizes = {cores >> shift for shift in range(cores.bit_length())} | {1}
    return [(cores // threads, threads) for threads in sorted(sizes - {0}, reverse=True)]


def first_round(workers: int, threads: int, most: int) -> Iterator[HostSettings]:
    """Try each batch up to `most` with twice as many images in flight."""
    for size in BATCHES:
        if size <= most:
            yield HostSettings(workers, threads, size, _USUAL_HANDS * size)


def second_round(best: HostSettings) -> Iterator[HostSettings]:
    """Try the best batch with fewer and with more images in flight."""
    for hands in _HANDS:
        if hands != _USUAL_HANDS:
            size = best.batch_size
            yield HostSettings(best.workers, best.threads, size, hands * size)


def together(settings: HostSettings, answers: Sequence[Mapping[str, Any]]) -> Trial:
    """Sum up what each worker says: `images` in `seconds`, and their `latencies`."""
    rate = sum(answer["images"] / answer["seconds"] for answer in answers)
    latencies = sorted(seconds for answer in answers for seconds in answer["latencies"])
    return Trial(settings, rate, percentile(latencies, 0.5), percentile(latencies, 0.95))


def best(trials: Sequence[Trial], limit_seconds: float) -> Trial | None:
    """Find the most images a second whose p95 keeps the limit; None when no trial does.

    Of those that are nearly as quick the one that answers soonest.
    """
    fit = [trial for trial in trials if trial.p95_seconds <= limit_seconds]
    if not fit:
        return None
    floor = _ALIKE * max(trial.images_per_second for trial in fit)
    return min(
        (trial for trial in fit if trial.images_per_second >= floor),
        key=lambda trial: trial.p95_seconds,
    )
