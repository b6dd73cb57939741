"""The web daemon's numbers for Prometheus, in a registry and on a port of their own."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
)

# From an answer out of memory to the longest wait.
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Meters:
    """Counts; all of it may be called from any thread. No label is a job, a file or a client."""

    def __init__(self) -> None:
        self.registry = made = CollectorRegistry()
        self._requests = Counter(
            "visionfleet_web_requests",
            "Requests that were answered, by route, method and status.",
            ("route", "method", "status"),
            registry=made,
        )
        self._seconds = Histogram(
            "visionfleet_web_request_seconds",
            "Seconds from a request's first byte to its answer, waits included.",
            ("route",),
            buckets=_REQUEST_BUCKETS,
            registry=made,
        )
        self._received = Counter(
            "visionfleet_web_received_bytes", "Bytes of bodies that came in.", registry=made
        )
        self._accepted = Counter(
            "visionfleet_web_jobs_accepted", "Jobs that were accepted.", registry=made
        )
        self._cache = Counter(
            "visionfleet_web_cache",
            "Looks into the cache of results, by result.",
            ("result",),
            registry=made,
        )
        self._replays = Counter(
            "visionfleet_web_idempotent_replays",
            "Uploads that came again under their Idempotency-Key.",
            registry=made,
        )
        self._aws = Histogram(
            "visionfleet_web_aws_seconds",
            "Seconds of the calls to AWS that one step of a request makes.",
            ("step", "result"),
            buckets=_CALL_BUCKETS,
            registry=made,
        )

    def watch(self, waiting: Callable[[], float]) -> None:
        """Ask for the requests under way whenever Prometheus asks."""
        about = "Requests that are not answered yet."
        gauge = Gauge("visionfleet_web_requests_waiting", about, registry=self.registry)
        gauge.set_function(waiting)

    def request(self, route: str, method: str, status: int, seconds: float, size: int) -> None:
        """Count a request that was answered."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        self._received.inc(size)

    def accepted(self) -> None:
        """Count a job."""
        self._accepted.inc()

    def cache(self, hit: bool) -> None:
        """Count a look into the cache."""
        self._cache.labels("hit" if hit else "miss").inc()

    def replayed(self) -> None:
        """Count an upload that came again."""
        self._replays.inc()

    def aws(self, step: str, ok: bool, seconds: float) -> None:
        """Count what a step has spent in AWS."""
        self._aws.labels(step, "ok" if ok else "error").observe(seconds)
