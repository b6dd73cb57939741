"""A classifier that is drained, stopped or shut down: by EC2, an idle limit, or while S3 hangs."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3

from testkit.aws.embedded import BUCKETS, Cloud, emptied
from testkit.aws.imds import INTERRUPTION, REBALANCE, imds_server
from testkit.aws.stalling_proxy import stalling_proxy
from testkit.classifier.daemon import Start, report
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import started_module
from testkit.processes.ports import accepts, free_port
from testkit.processes.waiting import wait_until
from visionfleet.scaler.boots import PHASES

pytestmark = pytest.mark.needs_torch

SETTINGS = """
queue: {visibility_timeout_seconds: 30, wait_seconds: 1}
classifier: {report_seconds: 1, stop_seconds: 3}
"""
BOOT_SECONDS = 60


@pytest.fixture
def aws(running_aws: Cloud) -> Cloud:
    return emptied(running_aws, {"VisibilityTimeout": "30"})


@pytest.fixture
def settings() -> str:
    return SETTINGS


def send(aws: Cloud, count: int) -> list[str]:
    jobs = [f"job{i}" for i in range(count)]
    for i, job in enumerate(jobs):
        aws.send_request(job, encoded(numbered(i % 4)), sent_at=time.time())
    return jobs


def answered(aws: Cloud) -> int:
    return len(aws.keys("results/job"))


def in_state(aws: Cloud, state: str) -> Callable[[], bool]:
    return lambda: report(aws).get("state") == state


def test_spot_interruption_drains_the_worker(aws: Cloud, start: Start) -> None:
    jobs = send(aws, 8)
    with imds_server() as ec2:
        settings = {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": ec2.url,
            "VISIONFLEET_CLASSIFIER__EC2_INSTANCE": "true",
        }
        with start("w_0", model="slow", **settings) as process:
            wait_until(lambda: aws.counts()[1] == 8, BOOT_SECONDS, process.tail)
            ec2.tell(REBALANCE, noticeTime="2026-11-24T12:00:00Z")
            wait_until(lambda: report(aws).get("notice"), 30, "the recommendation is reported")
            assert "draining" not in process.output(), "it is only told"
            ec2.tell(INTERRUPTION, action="terminate", time="2026-11-24T12:02:00Z")
            wait_until(in_state(aws, "drained"), 60, process.tail)
            assert answered(aws) == len(jobs), "what was in flight is done"
            told = report(aws)["notice"]
            assert told == "spot interruption: terminate at 2026-11-24T12:02:00Z"
            assert "draining" in process.output()
            aws.send_request("late", encoded(numbered(1)))
            seen = report(aws)["reported_at"]
            wait_until(lambda: report(aws)["reported_at"] > seen, 30, "it goes on to report")
            assert aws.result("late") is None, "it takes no more"
            process.kill()  # the two minutes are over
    with start("w_1") as another:
        wait_until(lambda: aws.result("late"), BOOT_SECONDS, another.tail)
        assert aws.counts() == (0, 0), "nothing is lost"
        assert another.stop()[0] == 0


def test_ec2_worker_is_named_by_its_instance_id(
    aws: Cloud, models: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    """The metadata may answer later than the machine starts."""
    with imds_server() as service:
        settings = {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": service.url,
            "VISIONFLEET_CLASSIFIER__EC2_INSTANCE": "true",
        }
        config = tmp_path / "named.yaml"
        config.write_text(SETTINGS)
        with started_module(
            "visionfleetd.classifier.main",
            *("--config", str(config)),
            log=tmp_path / "named.log",
            env={**aws.environment, **models["quick"], **settings},
            stop_seconds=20,
        ) as process:
            process.wait_for_output("waiting for AWS", BOOT_SECONDS)
            service.documents["/latest/meta-data/instance-id"] = b"i-0123456789abcdef0"
            key = "fleet/workers/i-0123456789abcdef0.json"
            wait_until(lambda: aws.object(key), BOOT_SECONDS, process.tail)


def test_worker_tells_its_boot_by_phase(aws: Cloud, start: Start) -> None:
    with start("w_0") as process:
        wait_until(in_state(aws, "idle"), BOOT_SECONDS, process.tail)
        told = report(aws)
        assert tuple(told["boot_phases"]) == PHASES[2:], "the scaler knows the first two"
        assert sum(told["boot_phases"].values()) == pytest.approx(told["boot_seconds"])
        assert told["host_up_seconds"] > 0
        assert process.stop()[0] == 0


def test_worker_runs_without_a_metadata_service(aws: Cloud, start: Start) -> None:
    jobs = send(aws, 2)
    settings = {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "VISIONFLEET_CLASSIFIER__EC2_INSTANCE": "true",
    }
    with start("w_0", **settings) as process:
        wait_until(lambda: answered(aws) == len(jobs), BOOT_SECONDS, process.tail)
        assert process.stop()[0] == 0


def test_idle_worker_without_a_scaler_shuts_its_machine_down(
    aws: Cloud, start: Start, tmp_path: Path
) -> None:
    off = tmp_path / "poweroff"
    alive = {"v": 1, "holder": "scaler-1", "term": 1, "expires_at": time.time() + 3600}
    lease = {"Bucket": BUCKETS[1], "Key": "fleet/lease.json"}
    aws.s3.put_object(**lease, Body=json.dumps(alive).encode())
    settings = {
        "VISIONFLEET_CLASSIFIER__EC2_INSTANCE": "true",
        "VISIONFLEET_CLASSIFIER__IDLE_SHUTDOWN_SECONDS": "5",
        "RUNTIME_DIRECTORY": str(tmp_path),
    }
    with start("w_0", **settings) as process:
        wait_until(in_state(aws, "idle"), BOOT_SECONDS, process.tail)
        idle_until = report(aws)["since"] + 8
        wait_until(lambda: report(aws)["reported_at"] > idle_until, 20, "idle for over the limit")
        assert not off.exists(), "the scaler lives"
        expired = alive | {"expires_at": time.time() - 120}
        aws.s3.put_object(**lease, Body=json.dumps(expired).encode())
        wait_until(off.exists, 20, process.tail)
        assert report(aws)["state"] == "drained", "first it takes no more work"
        assert "the scaler's sign of life expired" in process.output()
        assert process.running, "the machine's shutdown ends it"
        assert process.stop()[0] == 0


def test_worker_resumes_when_the_shutdown_does_not_happen(aws: Cloud, start: Start) -> None:
    """Drained for ever it would only cost; ended with a failure it is started again."""
    settings = {
        "VISIONFLEET_CLASSIFIER__EC2_INSTANCE": "true",
        "VISIONFLEET_CLASSIFIER__IDLE_SHUTDOWN_SECONDS": "5",
        "RUNTIME_DIRECTORY": "/dev/null/nowhere",  # cannot be made either
    }
    with start("w_0", **settings) as process:
        process.assert_exit(1, BOOT_SECONDS)
        assert "Not a directory: '/dev/null/nowhere/poweroff'" in process.output()
    assert report(aws)["state"] == "stopped"


def test_stop_is_in_time_when_s3_hangs(aws: Cloud, start: Start) -> None:
    """Nothing waits for its visibility timeout, and no answer is lost."""
    with stalling_proxy(aws.endpoint_url) as proxy:
        env = {"VISIONFLEET_AWS__ENDPOINT_URL": proxy.url}
        with start("w_0", **env) as process:
            wait_until(in_state(aws, "idle"), BOOT_SECONDS, process.tail)
            proxy.stalled.set()
            jobs = send(aws, 6)
            wait_until(lambda: aws.counts()[1] == 6, 20, process.tail)
            wait_until(lambda: proxy.held >= 3, 20, "images and the drain object are asked for")
            status, seconds = process.stop(20)
            assert (status, seconds < 3 + 10) == (0, True), process.tail()
            assert aws.counts() == (6, 0), "all are visible again"
            assert "out of time, handing back" in process.output()
    with start("w_1") as process:
        wait_until(lambda: answered(aws) == len(jobs), BOOT_SECONDS, process.tail)


def test_stop_during_boot_is_reported(aws: Cloud, start: Start) -> None:
    with start("w_0") as process:
        wait_until(in_state(aws, "booting"), BOOT_SECONDS, process.tail)
        assert process.stop(BOOT_SECONDS)[0] == 0
    assert report(aws)["state"] == "stopped"


def test_worker_serves_its_metrics(aws: Cloud, start: Start) -> None:
    port = free_port()  # the setting and the number of the worker
    settings = {"VISIONFLEET_CLASSIFIER__METRICS_PORT": str(port - 3)}
    with start("w_3", **settings) as process:
        jobs = send(aws, 10)
        wait_until(lambda: answered(aws) == len(jobs), BOOT_SECONDS, process.tail)
        wait_until(lambda: aws.counts() == (0, 0), 30, "the queue is empty")
        url = f"http://127.0.0.1:{port}/metrics"
        with urllib3.PoolManager() as http:

            def with_ten() -> str:
                scraped = http.request("GET", url).data.decode()
                done = 'visionfleet_jobs_total{outcome="succeeded"} 10.0'
                return scraped if done in scraped else ""

            text = wait_until(with_ten, 30, "ten are counted")
        stages = wait_until(lambda: report(aws, "w_3").get("stage_seconds"), 30, "a report")
    assert "visionfleet_items_total 10.0" in text
    assert 'visionfleet_job_stage_seconds_count{stage="reply"} 10.0' in text
    assert 'visionfleet_model_info{fingerprint="' in text
    assert 'worker="w_3"' in text
    assert "process_cpu_seconds_total" in text
    polled = next(
        line for line in text.splitlines() if line.startswith("visionfleet_sqs_poll_last")
    )
    assert abs(float(polled.split()[1]) - time.time()) < 60
    assert set(stages) == {"queue", "fetch", "decode", "infer", "store", "reply"}
    assert all(seconds >= 0 for seconds in stages.values())


def test_metrics_port_in_use_is_logged_and_work_goes_on(aws: Cloud, start: Start) -> None:
    taken = int(aws.endpoint_url.rsplit(":", 1)[1])
    assert accepts(taken)
    jobs = send(aws, 2)
    with start("w_0", VISIONFLEET_CLASSIFIER__METRICS_PORT=str(taken)) as process:
        wait_until(lambda: answered(aws) == len(jobs), BOOT_SECONDS, process.tail)
        assert "no metrics" in process.output()
