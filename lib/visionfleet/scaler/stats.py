"""Counts what the scaler does and sees, for its metrics. No I/O here.

Written by the loop, read by scrapes on other threads; one lock, and a snapshot for whoever asks.
"""

import copy
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from visionfleet.classifier.metrics import count, histogram
from visionfleet.classifier.stats import Distribution
from visionfleet.scaler.decision import Observation

STATES = ("booting", "idle", "busy", "draining", "drained", "stopping", "failed")
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@dataclass(slots=True)
class Totals:
    """Counted since the start of the process, and as of the last look."""

    visible: int = 0
    in_flight: int = 0
    workers: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(STATES, 0)))
    wanted: int = 0
    minimum: int = 0
    maximum: int = 0
    launches: int = 0
    drains: int = 0
    terminations: int = 0
    ticks: int = 0
    failed_ticks: int = 0
    succeeded_at: float = 0.0
    lease_held: bool = False
    seconds: Distribution = field(default_factory=lambda: Distribution(_SECONDS))


class Stats:
    """The running totals."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals = Totals()

    def snapshot(self) -> Totals:
        """Copy the totals as they are now."""
        with self._lock:
            return copy.deepcopy(self._totals)

    def saw(self, seen: Observation, wanted: int, limits: tuple[int, int], seconds: float) -> None:
        """Note a look, how many workers the decision on it wants, and how long both took."""
        with self._lock:
            totals = self._totals
            totals.visible, totals.in_flight = seen.visible, seen.in_flight
            totals.workers = Counter(dict.fromkeys(STATES, 0))
            totals.workers.update(worker.state for worker in seen.workers)
            totals.wanted = wanted
            totals.minimum, totals.maximum = limits
            totals.seconds.add(seconds)

    def acting(self, held: bool) -> None:
        """Note whether the lease is ours."""
        with self._lock:
            self._totals.lease_held = held

    def ticked(self, now: float) -> None:
        """Count a tick that came to its end."""
        with self._lock:
            self._totals.ticks += 1
            self._totals.succeeded_at = now

    def failed(self) -> None:
        """Count a tick that did not."""
        with self._lock:
            self._totals.ticks += 1
            self._totals.failed_ticks += 1

    def launched(self, count: int) -> None:
        """Count workers that were started."""
        with self._lock:
            self._totals.launches += count

    def drained(self, count: int) -> None:
        """Count workers that were asked to drain."""
        with self._lock:
            self._totals.drains += count

    def terminated(self, count: int) -> None:
        """Count workers that were ended."""
        with self._lock:
            self._totals.terminations += count


class Numbers(Collector):
    """Turns the figures into metrics, when it is asked for them and at no other time."""

    def __init__(self, figures: Stats) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """Give all metrics as they are now."""
        totals = self._figures.snapshot()
        yield from _of_fleet(totals)
        yield from _of_scaler(totals)


def _of_fleet(totals: Totals) -> Iterator[Metric]:
    yield _gauge("queue_visible", "Requests that wait, as SQS says.", totals.visible)
    yield _gauge("queue_in_flight", "Requests that workers hold.", totals.in_flight)
    workers = GaugeMetricFamily("visionfleet_workers", "Workers by state.", labels=["state"])
    for state, number in totals.workers.items():
        workers.add_metric([state], number)
    yield workers
    yield _gauge("workers_wanted", "Workers that the last decision wants.", totals.wanted)
    yield _gauge("workers_minimum", "Workers that always run.", totals.minimum)
    yield _gauge("workers_maximum", "Workers at the most.", totals.maximum)


def _of_scaler(totals: Totals) -> Iterator[Metric]:
    yield count("visionfleet_scaler_launches", "Workers launched.", totals.launches)
    yield count("visionfleet_scaler_drains", "Workers asked to drain.", totals.drains)
    yield count("visionfleet_scaler_terminations", "Workers terminated.", totals.terminations)
    yield count("visionfleet_scaler_ticks", "Ticks, failed ones too.", totals.ticks)
    yield count("visionfleet_scaler_failed_ticks", "Ticks that failed.", totals.failed_ticks)
    succeeded = "Unix time of the last tick that did not fail, 0 before one."
    yield _gauge("scaler_last_tick_timestamp_seconds", succeeded, totals.succeeded_at)
    yield _gauge("scaler_lease_held", "1 while this scaler acts.", float(totals.lease_held))
    seconds = "Seconds of a look and the decision on it."
    yield histogram("visionfleet_scaler_decision_seconds", seconds, totals.seconds)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"visionfleet_{name}", about, value)
