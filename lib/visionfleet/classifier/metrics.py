"""A classifier's numbers for Prometheus, on a port of its own.

One port per process: behind a shared one every scrape would meet another process, and counters
would seem to go backwards.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from visionfleet.classifier.stats import Distribution, Events, Totals

MOST_WORKERS = 1000
_NUMBER = re.compile(r"[_@]([0-9]{1,3})$")


@dataclass(frozen=True, slots=True)
class Facts:
    """What does not change while a worker lives."""

    worker: Mapping[str, str]
    model: Mapping[str, str]
    boot_seconds: float


def port_of(base: int, worker: str) -> int:
    """Add to the base port the number at the end of a worker's name: `..._07` or `...@7`."""
    number = _NUMBER.search(worker)
    return base + (int(number[1]) if number else 0)


class Numbers(Collector):
    """Turns what was counted into metrics, when it is asked for them and at no other time."""

    def __init__(self, events: Events, in_flight: Callable[[], int], facts: Facts) -> None:
        self._events, self._in_flight, self._facts = events, in_flight, facts

    def collect(self) -> Iterable[Metric]:
        """Give all metrics as they are now."""
        totals = self._events.snapshot()
        yield from self._of_jobs(totals)
        yield from _of_queue(totals)
        yield from self._of_worker(totals)

    def _of_jobs(self, totals: Totals) -> Iterator[Metric]:
        yield _counts("visionfleet_jobs", "Jobs that ended, by outcome.", "outcome", totals.jobs)
        yield _histograms(
            "visionfleet_job_stage_seconds",
            "Seconds that a job spent in a stage.",
            ("stage", totals.stages),
        )
        in_flight = "Messages in hand, whatever their stage."
        yield GaugeMetricFamily("visionfleet_jobs_in_flight", in_flight, self._in_flight())
        yield count("visionfleet_retries", "Messages given back for a later try.", totals.retries)
        yield count("visionfleet_items", "Images the model has seen.", totals.batches.sum)
        batches = sum(totals.batches.counts)
        yield count("visionfleet_batches", "Forward passes of the model.", batches)
        yield count("visionfleet_model_seconds", "Time in forward passes.", totals.model_seconds)
        yield histogram("visionfleet_batch_size", "Images in a forward pass.", totals.batches)

    def _of_worker(self, totals: Totals) -> Iterator[Metric]:
        yield _counts("visionfleet_notices", "Warnings of EC2, by kind.", "kind", totals.notices)
        yield InfoMetricFamily("visionfleet_model", "The loaded model.", dict(self._facts.model))
        yield InfoMetricFamily("visionfleet_worker", "This worker.", dict(self._facts.worker))
        boot = "Seconds from the start of the process to readiness."
        yield GaugeMetricFamily("visionfleet_boot_seconds", boot, self._facts.boot_seconds)


def _of_queue(totals: Totals) -> Iterator[Metric]:
    receives = "Receives, by result: a hit brought messages."
    yield _counts("visionfleet_sqs_receives", receives, "result", totals.receives)
    yield GaugeMetricFamily(
        "visionfleet_sqs_poll_last_success_timestamp_seconds",
        "Unix time of the last receive that was answered, 0 before one.",
        totals.polled_at,
    )
    deliveries = "Which delivery of its message a receive brought."
    yield histogram("visionfleet_sqs_receive_count", deliveries, totals.deliveries)
    extensions = "Messages whose hold the heartbeat extended, by result."
    yield _counts("visionfleet_sqs_extensions", extensions, "result", totals.extensions)
    lost = "Messages whose hold was lost, so that their work was thrown away."
    yield count("visionfleet_sqs_leases_lost", lost, totals.leases_lost)


class Server:
    """Answers scrapes on threads of its own until it is closed; raises OSError at the start."""

    def __init__(self, numbers: Collector, address: str, port: int) -> None:
        registry = CollectorRegistry()
        registry.register(numbers)
        ProcessCollector(registry=registry)
        self._server, self._thread = start_http_server(port, address, registry)

    def close(self) -> None:
        """Stop to listen."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def count(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(name, about, value)


def _counts(name: str, about: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, about, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def histogram(name: str, about: str, values: Distribution) -> Metric:
    return HistogramMetricFamily(name, about, _buckets(values), values.sum)


def _histograms(name: str, about: str, by: tuple[str, Mapping[str, Distribution]]) -> Metric:
    label, values = by
    family = HistogramMetricFamily(name, about, labels=[label])
    for key, value in values.items():
        family.add_metric([key], _buckets(value), value.sum)
    return family


def _buckets(values: Distribution) -> list[tuple[str, float]]:
    """Prometheus counts in each bucket all that is below its bound."""
    bounds = [f"{bound:g}" for bound in values.bounds] + ["+Inf"]
    return list(zip(bounds, accumulate(values.counts), strict=True))
