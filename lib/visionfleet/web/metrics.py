"""The web daemon's Prometheus metrics. No label is a job, a file or a client."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# From a cached answer to the longest wait.
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class WebMetrics:
    """Metrics in their own registry; updated from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        about = "Requests that were answered, by route, method and status."
        self.requests = counter("visionfleet_web_requests", about, ("route", "method", "status"))
        about = "Seconds from a request's first byte to its answer, waits included."
        self.request_seconds = histogram(
            "visionfleet_web_request_seconds", about, ("route",), buckets=_REQUEST_BUCKETS
        )
        about = "Requests that are not answered yet."
        gauge = partial(Gauge, registry=self.registry)
        self.requests_waiting = gauge("visionfleet_web_requests_waiting", about)
        about = "Bytes of bodies that came in."
        self.received_bytes = counter("visionfleet_web_received_bytes", about)
        self.jobs_accepted = counter("visionfleet_web_jobs_accepted", "Jobs that were accepted.")
        about = "Looks into the cache of results, by result."
        self.cache = counter("visionfleet_web_cache", about, ("result",))
        about = "Uploads that came again under their Idempotency-Key."
        self.idempotent_replays = counter("visionfleet_web_idempotent_replays", about)
        about = "Seconds of the calls to AWS that one step of a request makes."
        self.aws_seconds = histogram(
            "visionfleet_web_aws_seconds", about, ("step", "result"), buckets=_CALL_BUCKETS
        )
