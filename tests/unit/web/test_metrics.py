"""The metrics of the web daemon: their values, and the table that documents them."""

import re

import pytest

from testkit import ROOT
from visionfleet.web.metrics import WebMetrics

TABLE = ROOT / "docs" / "metrics.md"


def counted() -> WebMetrics:
    """Make metrics on which everything has happened once."""
    made = WebMetrics()
    made.requests_waiting.set(7)
    made.requests.labels("/v1/jobs", "POST", "202").inc()
    made.request_seconds.labels("/v1/jobs").observe(0.2)
    made.received_bytes.inc(1000)
    made.jobs_accepted.inc()
    made.idempotent_replays.inc()
    made.cache.labels("hit").inc()
    made.aws_seconds.labels("accept", "ok").observe(0.02)
    return made


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("requests_total", {"route": "/v1/jobs", "method": "POST", "status": "202"}, 1),
        ("request_seconds_bucket", {"route": "/v1/jobs", "le": "0.1"}, 0),
        ("request_seconds_bucket", {"route": "/v1/jobs", "le": "0.25"}, 1),
        ("requests_waiting", {}, 7),
        ("received_bytes_total", {}, 1000),
        ("jobs_accepted_total", {}, 1),
        ("cache_total", {"result": "hit"}, 1),
        ("idempotent_replays_total", {}, 1),
        ("aws_seconds_sum", {"step": "accept", "result": "ok"}, 0.02),
    ],
)
def test_metric_values_of_web(name: str, labels: dict[str, str], value: float) -> None:
    found = counted().registry.get_sample_value(f"visionfleet_web_{name}", labels)
    assert found == pytest.approx(value)


def test_docs_list_every_web_metric_with_its_labels() -> None:
    samples = set()
    for family in counted().registry.collect():
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                name = family.name if family.type == "histogram" else sample.name
                samples.add((name, frozenset(sample.labels.keys() - {"le"})))
    rows = set()
    for line in TABLE.read_text().splitlines():
        if match := re.match(r"\| `(visionfleet_web_\w+)` \| \w+ \|(.*?)\| .+ \|$", line):
            rows.add((match[1], frozenset(re.findall(r"`(\w+)`", match[2]))))
    assert rows == samples
