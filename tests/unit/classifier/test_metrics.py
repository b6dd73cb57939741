"""The metrics: their values, their names, and the table that documents them."""

import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from testkit import ROOT
from visionfleet.classifier.metrics import Facts, Numbers, port_of
from visionfleet.classifier.stats import Events
from visionfleet.scaler.metrics import ScalerMetrics

TABLE = ROOT / "docs" / "metrics.md"
FACTS = Facts(
    worker={"worker": "classifier_03", "host": "h", "version": "1"},
    model={"name": "default", "fingerprint": "abc", "precision": "float32", "threads": "1"},
    boot_seconds=4.5,
)


def registry(events: Events, in_flight: int = 0) -> CollectorRegistry:
    made = CollectorRegistry()
    made.register(Numbers(events, lambda: in_flight, FACTS))
    return made


def test_metric_values_of_a_classifier() -> None:
    events = Events()
    events.batch(8, 0.4)
    events.batch(2, 0.1)
    events.ended("succeeded", {"queue": 0.02, "reply": 400.0})
    events.polled([2], now=1234.5)
    found = registry(events, in_flight=3)

    def value(name: str, /, **labels: str) -> float | None:
        return found.get_sample_value(f"visionfleet_{name}", labels)

    assert value("items_total") == 10
    assert value("batches_total") == 2
    assert value("model_seconds_total") == 0.5
    assert value("batch_size_bucket", le="2") == 1
    assert value("batch_size_bucket", le="+Inf") == 2
    assert value("jobs_total", outcome="succeeded") == 1
    assert value("jobs_in_flight") == 3
    assert value("job_stage_seconds_bucket", stage="queue", le="0.01") == 0
    assert value("job_stage_seconds_bucket", stage="queue", le="0.025") == 1
    assert value("job_stage_seconds_bucket", stage="reply", le="300") == 0
    assert value("job_stage_seconds_count", stage="reply") == 1
    assert value("job_stage_seconds_sum", stage="reply") == 400
    assert value("job_stage_seconds_count", stage="infer") == 0
    assert value("sqs_receives_total", result="hit") == 1
    assert value("sqs_poll_last_success_timestamp_seconds") == 1234.5
    assert value("sqs_receive_count_bucket", le="1") == 0
    assert value("sqs_receive_count_bucket", le="2") == 1
    assert value("boot_seconds") == 4.5
    assert value("model_info", **FACTS.model) == 1
    assert value("worker_info", **FACTS.worker) == 1


def samples() -> set[tuple[str, frozenset[str]]]:
    """Names as Prometheus stores them, with their labels; buckets and sums left to their family."""
    found = set()
    families = [*registry(Events()).collect(), *ScalerMetrics().registry.collect()]
    for family in families:
        histogram = family.type == "histogram"
        for sample in family.samples:
            name = family.name if histogram else sample.name
            if not sample.name.endswith("_created"):
                found.add((name, frozenset(sample.labels.keys() - {"le"})))
    return found


def rows() -> set[tuple[str, frozenset[str]]]:
    found = set()
    for line in TABLE.read_text().splitlines():
        if match := re.match(r"\| `(visionfleet_\w+)` \| \w+ \|(.*?)\| .+ \|$", line):
            found.add((match[1], frozenset(re.findall(r"`(\w+)`", match[2]))))
    return {row for row in found if not row[0].startswith("visionfleet_web_")}


def test_docs_list_every_metric_with_its_labels() -> None:
    assert rows() == samples()


def test_docs_queries_use_existing_metrics() -> None:
    known = {name for name, _ in samples()}
    known |= {f"{name}_{part}" for name in known for part in ("bucket", "count", "sum")}
    used = set(re.findall(r"visionfleet_(?!web_)[a-z_]+", TABLE.read_text()))
    assert used <= known


def test_metrics_are_valid_prometheus_text() -> None:
    text = generate_latest(registry(Events())).decode()
    assert "# TYPE visionfleet_job_stage_seconds histogram" in text
    assert 'visionfleet_job_stage_seconds_bucket{le="0.001",stage="queue"} 0.0' in text
    assert text.count("\n") < 250, "a scrape of a hundred workers stays small"


@pytest.mark.parametrize(
    ("worker", "port"),
    [
        ("classifier_00", 9101),
        ("classifier_07", 9108),
        ("i-0abc123@2", 9103),
        ("i-0abc123", 9101),  # an instance's id ends in no number
        ("ip-10-0-0-12-31245", 9101),  # nor does a process's
        ("w_1234", 9101),
    ],
)
def test_each_worker_of_a_host_has_its_metrics_port(worker: str, port: int) -> None:
    assert port_of(9101, worker) == port
