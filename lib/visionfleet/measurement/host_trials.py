"""Chooses which settings of a host to try, and which are best. No I/O here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from visionfleet.measurement.latencies import percentile

# Smaller differences count as equal: then the lower latency wins.
_ALIKE = 0.97
BATCHES = (1, 2, 4, 8, 16, 32)
# Images in flight per image of a batch: one batch is computed, others are decoded.
_HANDS = (1, 2, 4)
_USUAL_HANDS = 2


@dataclass(frozen=True, slots=True)
class HostSettings:
    """A number of workers, each with `threads` and as many CPUs."""

    workers: int
    threads: int
    batch_size: int
    prefetch: int


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of all workers; latencies from an image's decoding to its answer."""

    settings: HostSettings
    images_per_second: float
    p50_seconds: float
    p95_seconds: float


def shapes(cores: int) -> list[tuple[int, int]]:
    """Combinations of workers and threads that fill the cores, from one worker to one per core."""
    sizes = {cores >> shift for shift in range(cores.bit_length())} | {1}
    return [(cores // threads, threads) for threads in sorted(sizes - {0}, reverse=True)]


def first_round(workers: int, threads: int, most: int) -> Iterator[HostSettings]:
    """Try each batch size up to `most` with twice as many images in flight."""
    for size in BATCHES:
        if size <= most:
            yield HostSettings(workers, threads, size, _USUAL_HANDS * size)


def second_round(best: HostSettings) -> Iterator[HostSettings]:
    for hands in _HANDS:
        if hands != _USUAL_HANDS:
            size = best.batch_size
            yield HostSettings(best.workers, best.threads, size, hands * size)


def together(settings: HostSettings, answers: Sequence[Mapping[str, Any]]) -> Trial:
    """Sum up the workers' results: `images` in `seconds`, and `latencies`."""
    rate = sum(answer["images"] / answer["seconds"] for answer in answers)
    latencies = sorted(seconds for answer in answers for seconds in answer["latencies"])
    return Trial(settings, rate, percentile(latencies, 0.5), percentile(latencies, 0.95))


def best(trials: Sequence[Trial], limit_seconds: float) -> Trial | None:
    """The highest throughput with a p95 within the limit; None if no trial meets it.

    Among nearly equal ones, the lowest latency.
    """
    fit = [trial for trial in trials if trial.p95_seconds <= limit_seconds]
    if not fit:
        return None
    floor = _ALIKE * max(trial.images_per_second for trial in fit)
    return min(
        (trial for trial in fit if trial.images_per_second >= floor),
        key=lambda trial: trial.p95_seconds,
    )
