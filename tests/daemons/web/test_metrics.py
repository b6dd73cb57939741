"""Metrics of real web processes, each on its own port."""

from pathlib import Path

import requests

from testkit.aws.embedded import Cloud
from testkit.classifier.stand_in import stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.ports import free_port
from testkit.web.daemon import Web, web_daemon

IMAGE = encoded(numbered(0))


def scrape(web: Web) -> dict[str, float]:
    """Read the metrics of a process from the port that its log names."""
    port = int(web.process.output().partition("metrics_port=")[2].split()[0])
    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_metrics_tell_processes_on_one_port_apart(aws: Cloud, tmp_path: Path) -> None:
    first = str(free_port())
    shared = {"WEB__SHARE_PORT": "true", "WEB__METRICS_PORT": first}
    with (
        stand_in(aws),
        web_daemon(aws, tmp_path, **shared) as one,
        web_daemon(aws, tmp_path, WEB__PORT=str(one.port), **shared) as two,
    ):
        for _ in range(20):
            assert one.post("/", data=IMAGE).ok
        assert one.get("/v1/jobs/" + "0" * 26).status_code == 404
        both = [scrape(one), scrape(two)]
    name = 'visionfleet_web_requests_total{method="POST",route="/",status="200"}'
    assert [numbers.get(name, 0) > 0 for numbers in both] == [True, True]
    assert sum(numbers[name] for numbers in both) == 20
    assert sum(numbers["visionfleet_web_jobs_accepted_total"] for numbers in both) == 20
    assert sum(numbers["visionfleet_web_received_bytes_total"] for numbers in both) == 20 * len(
        IMAGE
    )
    missing = 'visionfleet_web_requests_total{method="GET",route="/v1/jobs/{job}",status="404"}'
    assert sum(numbers.get(missing, 0) for numbers in both) == 1
    steps = 'visionfleet_web_aws_seconds_count{result="ok",step="accept"}'
    assert sum(numbers[steps] for numbers in both) == 20


def test_metrics_need_their_setting(aws: Cloud, tmp_path: Path) -> None:
    with web_daemon(aws, tmp_path) as web:
        assert "metrics_port" not in web.process.output()
        assert web.get("/metrics").status_code == 404
