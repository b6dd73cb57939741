"""The scaler's numbers for Prometheus, on a port of its own."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from visionfleet.metrics import count, histogram
from visionfleet.scaler.figures import Figures, Totals


class Numbers(Collector):
    """Turns the figures into metrics, when it is asked for them and at no other time."""

    def __init__(self, figures: Figures) -> None:
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
