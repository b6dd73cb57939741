"""A real scaler in an outage, at the first message, and as garbage collector."""

import time
from pathlib import Path

import pytest

from testkit.aws.counting_proxy import counting_proxy
from testkit.aws.embedded import Cloud
from testkit.aws.fault_proxy import fault_proxy
from testkit.aws.stalling_proxy import stalling_proxy
from testkit.fleet.scaler_daemon import QUICK, scaler_daemon, send, status
from testkit.fleet.supervised import supervised
from testkit.processes.waiting import wait_until
from testkit.web.daemon import reply_queues, web_daemon

ENDPOINT = "VISIONFLEET_AWS__ENDPOINT_URL"
SILENT_SECONDS = 30.0  # four reports of the workers, but no less than this


def test_outage_longer_than_the_silence_limit_costs_no_worker(aws: Cloud, tmp_path: Path) -> None:
    """S3 and SQS answer neither scaler nor workers, for longer than a silent worker may live."""
    settings = f"{QUICK}classifier: {{report_seconds: 1}}\naws: {{read_timeout_seconds: 2}}\n"
    with fault_proxy(aws.endpoint_url) as proxy:
        proxied = {ENDPOINT: proxy.url, "AWS_MAX_ATTEMPTS": "2"}
        with (
            supervised({**aws.environment, **proxied}, service_seconds=0.5) as workers,
            scaler_daemon(aws, workers, tmp_path, settings=settings, **proxied) as it,
        ):
            send(aws, 400)
            wait_until(lambda: status(aws).get("states", {}).get("busy") == 3, 60, it.tail)
            pids = workers.pids()
            proxy.outage.set()
            it.wait_for_output("tick failed", 30)
            over = time.monotonic() + 1.5 * SILENT_SECONDS
            wait_until(lambda: time.monotonic() > over, 60)
            assert workers.pids() == pids
            proxy.outage.clear()
            it.wait_for_output("ticks succeed again", 60)
            at = status(aws)["at"]
            wait_until(lambda: status(aws)["at"] > at + SILENT_SECONDS, 60, it.tail)
            assert workers.pids() == pids
            assert "terminate 1" not in it.output()
            assert it.output().count("tick failed") == 1


def test_stop_is_in_time_when_s3_hangs(aws: Cloud, tmp_path: Path) -> None:
    with (
        stalling_proxy(aws.endpoint_url) as proxy,
        supervised(aws.environment) as workers,
        scaler_daemon(aws, workers, tmp_path, **{ENDPOINT: proxy.url}) as scaler,
    ):
        scaler.wait_for_output("acting", 60)
        proxy.stalled.set()
        wait_until(lambda: proxy.held, 30, scaler.tail)
        exit_status, seconds = scaler.stop(30)
        assert (exit_status, seconds < 15) == (0, True), scaler.tail()
        assert "a call of this tick hangs" in scaler.output()


def test_first_message_launches_a_worker_at_the_next_look(
    aws: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sent right after a look at the queue: the longest delay there is."""
    with (
        counting_proxy(aws.endpoint_url) as proxy,
        supervised(aws.environment) as workers,
        scaler_daemon(aws, workers, tmp_path, settings="", **{ENDPOINT: proxy.url}) as scaler,
    ):
        scaler.wait_for_output("acting", 60)
        looks = proxy.calls["SQS GetQueueAttributes"]
        wait_until(lambda: proxy.calls["SQS GetQueueAttributes"] > looks, 30, scaler.tail)
        looks = proxy.calls["SQS GetQueueAttributes"]
        send(aws, 1)
        sent = time.monotonic()
        wait_until(workers.states, 30, scaler.tail)
        seconds = time.monotonic() - sent
        looks = proxy.calls["SQS GetQueueAttributes"] - looks
    with capsys.disabled():
        print(f"\nfrom the first message to the launch: {seconds:.1f} s with default settings")
    assert looks <= 2, "the next one, and one that confirms it soon after"


def test_queue_with_fewer_tries_than_the_settings_is_told(aws: Cloud, tmp_path: Path) -> None:
    with (
        supervised(aws.environment) as workers,
        scaler_daemon(
            aws, workers, tmp_path, "--once", settings=f"{QUICK}queue: {{max_receives: 9}}\n"
        ) as scaler,
    ):
        assert scaler.wait(60) == 0, scaler.tail()
        (line,) = [line for line in scaler.output().splitlines() if "differs" in line]
    assert "queue=visionfleet-requests" in line
    assert "maxReceiveCount is 5, queue.max_receives 9" in line


def test_garbage_collector_removes_stale_objects_and_queues(aws: Cloud, tmp_path: Path) -> None:
    """A living web process keeps its queue; a dead one's goes, and nothing that is not ours."""
    old = {"visionfleet": "replies", "heartbeat": str(int(time.time()) - 7200)}
    for name, tags in {
        "visionfleet-replies-dead-1": old,
        "visionfleet-replies-untagged": {},
        "visionfleet-replies-foreign": {"heartbeat": "5"},
        "other-replies-dead-1": old,
    }.items():
        aws.sqs.create_queue(QueueName=name, tags=tags)
    with (
        web_daemon(aws, tmp_path),
        supervised(aws.environment) as workers,
        scaler_daemon(
            aws, workers, tmp_path, settings=f"{QUICK}  housekeeping_seconds: 1\n"
        ) as scaler,
    ):
        before = set(reply_queues(aws))
        assert len(before) == 4
        # The line comes once the queue is gone, so whoever looks between finds neither.
        line = "removed queue=visionfleet-replies-dead-1"
        wait_until(lambda: line in scaler.output(), 60, scaler.tail)
        assert set(reply_queues(aws)) == before - {"visionfleet-replies-dead-1"}
        assert aws.queue_url("other-replies-dead-1")
        assert scaler.output().count("removed") == 1
