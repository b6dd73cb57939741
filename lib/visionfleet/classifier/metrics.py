"""A classifier's metrics. Each worker has a port of its own, as each has its own values."""

import re
from functools import partial
from itertools import chain

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from visionfleet.classifier.capacity import Capacity

_STAGES = ("queue", "fetch", "decode", "infer", "store", "reply")
# From the decoding of a small image to a job that waited for a worker to boot.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_DELIVERIES = (1, 2, 3, 4, 5, 10, 100)
_NUMBER = re.compile(r"[-_@]([0-9]{1,3})$")


def port_of(base: int, worker: str) -> int:
    """The base port plus the number at the end of a worker's name (`..._07`); 0: no port."""
    number = _NUMBER.search(worker)
    return base + int(number[1]) if base and number else base


class ClassifierMetrics:
    """Updated from all threads; label values that are known exist from the start."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.capacity = Capacity()
        gauge = partial(Gauge, namespace="visionfleet", registry=self.registry)
        histogram = partial(Histogram, namespace="visionfleet", registry=self.registry)
        counter = self._counter
        self.jobs = counter("jobs", "Jobs that ended, by outcome.", outcome=("succeeded",))
        about = "Seconds that a job spent in a stage."
        seconds = histogram("job_stage_seconds", about, ["stage"], buckets=_SECONDS)
        self.stage_seconds = {stage: seconds.labels(stage) for stage in _STAGES}
        self.retries = counter("retries", "Messages given back for a later try.")
        self.in_flight = gauge("jobs_in_flight", "Messages in flight, whatever their stage.")
        self.items = counter("items", "Images the model has seen.")
        self.batches = counter("batches", "Forward passes of the model.")
        self.model_seconds = counter("model_seconds", "Time in forward passes.")
        self.batch_size = histogram("batch_size", "Images in a forward pass.", buckets=_SIZES)
        about = "Receives, by result: a hit brought messages."
        self.receives = counter("sqs_receives", about, result=("hit", "empty", "error"))
        about = "Unix time of the last receive that was answered, 0 before one."
        self.polled_at = gauge("sqs_poll_last_success_timestamp_seconds", about)
        about = "Which delivery of its message a receive brought."
        self.receive_count = histogram("sqs_receive_count", about, buckets=_DELIVERIES)
        about = "Messages whose visibility the heartbeat extended, by result."
        self.extensions = counter("sqs_extensions", about, result=("ok", "lost", "error"))
        about = "Messages that were lost, so that their work was thrown away."
        self.leases_lost = counter("sqs_leases_lost", about)
        about = "Warnings of EC2, by kind."
        self.notices = counter("notices", about, kind=("interruption", "rebalance"))
        self.model = Info("visionfleet_model", "The loaded model.", registry=self.registry)
        self.worker = Info("visionfleet_worker", "This worker.", registry=self.registry)
        about = "Seconds from the start of the process to readiness."
        self.boot_seconds = gauge("boot_seconds", about)

    def receives_with_messages(self) -> float:
        hits = self.registry.get_sample_value("visionfleet_sqs_receives_total", {"result": "hit"})
        return hits or 0.0

    def stage_means(self) -> dict[str, float]:
        """Mean seconds per image by stage, without stages that no image has reached."""
        means: dict[str, float] = {}
        for stage, histogram in self.stage_seconds.items():
            (family,) = histogram.collect()
            found = {sample.name.rpartition("_")[2]: sample.value for sample in family.samples}
            if found["count"]:
                means[stage] = round(found["sum"] / found["count"], 6)
        return means

    def _counter(self, name: str, about: str, **labels: tuple[str, ...]) -> Counter:
        made = Counter(f"visionfleet_{name}", about, list(labels), registry=self.registry)
        for value in chain(*labels.values()):
            made.labels(value)
        return made
