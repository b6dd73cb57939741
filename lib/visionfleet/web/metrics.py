"""The web daemon's numbers for Prometheus. No label is a job, a file or a client."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# From an answer out of memory to the longest wait.
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class WebMetrics:
    """The metrics in a registry of their own; any thread may count."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "visionfleet_web_requests",
            "Requests that were answered, by route, method and status.",
            ("route", "method", "status"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "visionfleet_web_request_seconds",
            "Seconds from a request's first byte to its answer, waits included.",
            ("route",),
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self.requests_waiting = Gauge(
            "visionfleet_web_requests_waiting",
            "Requests that are not answered yet.",
            registry=registry,
        )
        self.received_bytes = Counter(
            "visionfleet_web_received_bytes", "Bytes of bodies that came in.", registry=registry
        )
        self.jobs_accepted = Counter(
            "visionfleet_web_jobs_accepted", "Jobs that were accepted.", registry=registry
        )
        self.cache = Counter(
            "visionfleet_web_cache",
            "Looks into the cache of results, by result.",
            ("result",),
            registry=registry,
        )
        self.idempotent_replays = Counter(
            "visionfleet_web_idempotent_replays",
            "Uploads that came again under their Idempotency-Key.",
            registry=registry,
        )
        self.aws_seconds = Histogram(
            "visionfleet_web_aws_seconds",
            "Seconds of the calls to AWS that one step of a request makes.",
            ("step", "result"),
            buckets=_CALL_BUCKETS,
            registry=registry,
        )
