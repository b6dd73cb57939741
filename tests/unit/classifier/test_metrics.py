"""The metrics: their values, their names, and the table that documents them."""

import re
import threading

import pytest
from prometheus_client import generate_latest

from testkit import ROOT
from visionfleet.classifier.metrics import ClassifierMetrics, port_of
from visionfleet.scaler.metrics import ScalerMetrics

TABLE = ROOT / "docs" / "metrics.md"
WORKER = {"worker": "classifier_03", "host": "h", "version": "1"}
MODEL = {"name": "default", "fingerprint": "abc", "precision": "float32", "threads": "1"}


@pytest.fixture
def metrics() -> ClassifierMetrics:
    return made()


def made() -> ClassifierMetrics:
    metrics = ClassifierMetrics()
    metrics.worker.info(WORKER)
    metrics.model.info(MODEL)
    return metrics


def test_metric_values_of_a_classifier(metrics: ClassifierMetrics) -> None:
    for images, seconds in ((8, 0.4), (2, 0.1)):
        metrics.items.inc(images)
        metrics.batches.inc()
        metrics.batch_size.observe(images)
        metrics.model_seconds.inc(seconds)
    metrics.jobs.labels("succeeded").inc()
    metrics.stage_seconds["queue"].observe(0.02)
    metrics.stage_seconds["reply"].observe(400.0)
    metrics.receives.labels("hit").inc()
    metrics.receive_count.observe(2)
    metrics.polled_at.set(1234.5)
    metrics.in_flight.set_function(lambda: 3)
    metrics.boot_seconds.set(4.5)
    found = metrics.registry

    def value(name: str, /, **labels: str) -> float | None:
        return found.get_sample_value(f"visionfleet_{name}", labels)

    assert value("items_total") == 10
    assert value("batches_total") == 2
    assert value("model_seconds_total") == 0.5
    assert value("batch_size_bucket", le="2.0") == 1
    assert value("batch_size_bucket", le="+Inf") == 2
    assert value("jobs_total", outcome="succeeded") == 1
    assert value("jobs_in_flight") == 3
    assert value("job_stage_seconds_bucket", stage="queue", le="0.01") == 0
    assert value("job_stage_seconds_bucket", stage="queue", le="0.025") == 1
    assert value("job_stage_seconds_bucket", stage="reply", le="300.0") == 0
    assert value("job_stage_seconds_count", stage="reply") == 1
    assert value("job_stage_seconds_sum", stage="reply") == 400
    assert value("job_stage_seconds_count", stage="infer") == 0
    assert value("sqs_receives_total", result="hit") == 1
    assert value("sqs_poll_last_success_timestamp_seconds") == 1234.5
    assert value("sqs_receive_count_bucket", le="1.0") == 0
    assert value("sqs_receive_count_bucket", le="2.0") == 1
    assert value("boot_seconds") == 4.5
    assert value("model_info", **MODEL) == 1
    assert value("worker_info", **WORKER) == 1


def test_new_counters_start_at_zero_with_every_label(metrics: ClassifierMetrics) -> None:
    found = {
        (sample.name.removeprefix("visionfleet_"), *sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
    }
    assert found["jobs_total", "succeeded"] == 0
    assert [found["sqs_receives_total", result] for result in ("hit", "empty", "error")] == [0] * 3
    assert [found["sqs_extensions_total", result] for result in ("ok", "lost", "error")] == [0] * 3
    assert [found["notices_total", kind] for kind in ("interruption", "rebalance")] == [0] * 2
    stages = {labels[0] for name, *labels in found if name == "job_stage_seconds_count"}
    assert stages == {"queue", "fetch", "decode", "infer", "store", "reply"}


def test_report_and_idle_check_read_their_metrics(metrics: ClassifierMetrics) -> None:
    assert (metrics.stage_means(), metrics.receives_with_messages()) == ({}, 0)
    for result in ("hit", "empty", "hit"):
        metrics.receives.labels(result).inc()
    for seconds in (1.0, 3.0):
        metrics.stage_seconds["queue"].observe(seconds)
    metrics.stage_seconds["infer"].observe(0.4)
    assert metrics.stage_means() == {"queue": 2.0, "infer": 0.4}
    assert metrics.receives_with_messages() == 2


def test_threads_lose_no_count(metrics: ClassifierMetrics) -> None:
    def count() -> None:
        for _ in range(1000):
            metrics.jobs.labels("succeeded").inc()
            metrics.stage_seconds["queue"].observe(0.5)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    value = metrics.registry.get_sample_value
    assert value("visionfleet_jobs_total", {"outcome": "succeeded"}) == 8000
    assert value("visionfleet_job_stage_seconds_count", {"stage": "queue"}) == 8000


def samples() -> set[tuple[str, frozenset[str]]]:
    """Names as Prometheus stores them, with their labels; buckets and sums left to their family."""
    found = set()
    families = [*made().registry.collect(), *ScalerMetrics().registry.collect()]
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
    text = generate_latest(made().registry).decode()
    assert "# TYPE visionfleet_job_stage_seconds histogram" in text
    assert 'visionfleet_job_stage_seconds_bucket{le="0.001",stage="queue"} 0.0' in text
    assert text.count("\n") < 250, "a scrape of a hundred workers stays small"


@pytest.mark.parametrize(
    ("worker", "port"),
    [
        ("classifier_00", 9101),
        ("classifier_07", 9108),
        ("i-0abc123@2", 9103),
        ("ip-10-0-0-12-2", 9103),  # of a unit
        ("i-0abc123", 9101),  # an instance's id ends in no number
        ("ip-10-0-0-12-31245", 9101),  # nor does a process's
        ("w_1234", 9101),
    ],
)
def test_each_worker_of_a_host_has_its_metrics_port(worker: str, port: int) -> None:
    assert port_of(9101, worker) == port


def test_metrics_port_is_zero_without_a_base() -> None:
    assert port_of(0, "classifier_07") == 0
