"""Messages that a worker holds: kept, returned, delivered again, answered once."""

import json
import signal
import time

import pytest

from testkit.aws.embedded import BUCKETS, Cloud
from testkit.classifier.daemon import REPLIES, Start, report, results, send
from testkit.images.pictures import encoded, numbered
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch


def test_jobs_of_a_killed_worker_are_answered_by_another(aws: Cloud, start: Start) -> None:
    jobs = send(aws, range(8))
    with start("w0", model="slow") as first:
        wait_until(lambda: aws.counts()[1] == 8, 40, first.tail)
        first.kill()
    already = {job for job in jobs if aws.result(job)}
    assert len(already) < 8
    with start("w1"):
        found = results(aws, jobs)
        wait_until(lambda: aws.counts() == (0, 0), 20, "the queue is empty")
    assert [found[f"job{i}"]["label"] for i in range(8)] == [f"label-{i}" for i in range(8)]
    assert {found[job]["worker"] for job in set(jobs) - already} == {"w1"}
    attempts = {found[job]["attempts"] for job in set(jobs) - already}
    assert attempts <= {1, 2}, "what is taken over has no delivery more"
    assert len(aws.keys("results/")) == 8


def test_visibility_heartbeat_holds_slow_work(aws: Cloud, start: Start) -> None:
    """40 images at 0.2 s or more each take longer than 6 s: without a heartbeat they return."""
    jobs = send(aws, range(40))
    more = {f"CLASSIFIER__{name}": "40" for name in ("PREFETCH", "BATCH_SIZE")}
    more |= {"QUEUE__VISIBILITY_TIMEOUT_SECONDS": "6", "QUEUE__WAIT_SECONDS": "0"}
    more = {f"VISIONFLEET_{name}": value for name, value in more.items()}
    with start("w0", model="slow", **more) as process:
        wait_until(lambda: aws.counts()[1] > 0, 60, process.tail)
        began = time.monotonic()
        found = results(aws, jobs, seconds=300)
    assert time.monotonic() - began > 6
    assert {result["attempts"] for result in found.values()} == {1}


def test_sigterm_returns_unstarted_messages(aws: Cloud, start: Start) -> None:
    jobs = send(aws, range(20))
    with start("w0", model="slow", VISIONFLEET_CLASSIFIER__BATCH_SIZE="1") as process:
        wait_until(lambda: len(aws.keys("results/job")) >= 1, 60, process.tail)
        status, seconds = process.stop(20)
        assert (status, seconds < 15) == (0, True), process.tail()
        visible, in_flight = aws.counts()
    assert in_flight == 0, "nothing hangs until its visibility timeout"
    assert visible > 0, "not all of them were worked off"
    assert visible + len(aws.keys("results/job")) == 20
    assert report(aws, "w0")["state"] == "stopped"
    with start("w1"):
        found = results(aws, jobs)
    assert [found[f"job{i}"]["label"] for i in range(20)] == [f"label-{i}" for i in range(20)]


def test_second_sigterm_ends_at_once(aws: Cloud, start: Start) -> None:
    send(aws, range(10))
    with start("w0", model="slow", VISIONFLEET_CLASSIFIER__BATCH_SIZE="10") as process:
        wait_until(lambda: aws.counts()[1] == 10, 60, process.tail)
        process.signal(signal.SIGTERM)
        process.wait_for_output("stopping")
        process.signal(signal.SIGTERM)
        assert process.wait() == 130


def test_drained_worker_finishes_its_work_and_takes_no_more(aws: Cloud, start: Start) -> None:
    jobs = send(aws, range(8))
    with start("w0", model="slow") as process:
        wait_until(lambda: aws.counts()[1] == 8, 60, process.tail)
        wish = str(time.time()).encode()
        aws.s3.put_object(Bucket=BUCKETS[1], Key="fleet/drain/w0", Body=wish)
        wait_until(lambda: report(aws, "w0").get("state") == "drained", 30, process.tail)
        assert results(aws, jobs).keys() == set(jobs)
        aws.send_request("late", encoded(numbered(11)))
        with start("w1"):
            late = wait_until(lambda: aws.result("late"), 60, "another worker takes it")
        assert late["worker"] == "w1"
        assert process.stop()[0] == 0


def test_drain_request_older_than_the_worker_is_ignored(aws: Cloud, start: Start) -> None:
    aws.s3.put_object(Bucket=BUCKETS[1], Key="fleet/drain/w0", Body=b"1000.0")
    with start("w0") as process:
        wait_until(lambda: report(aws, "w0").get("state") == "idle", 40, process.tail)
        jobs = send(aws, range(2))
        results(aws, jobs)
        assert "draining" not in process.output()


def test_redelivered_message_is_answered_from_its_result(aws: Cloud, start: Start) -> None:
    jobs = send(aws, range(1))
    url = aws.queue_url("visionfleet-requests")
    aws.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)  # a first delivery, lost
    before = {"v": 1, "status": "failed", "job": "job0", "code": "first", "reason": "was first"}
    before |= {"attempts": 1, "worker": "gone", "finished_at": 1.0, "file_name": ""}
    aws.s3.put_object(Bucket=BUCKETS[1], Key="results/job0.json", Body=json.dumps(before).encode())
    with start("w0"):
        reply = wait_until(lambda: aws.receive(REPLIES, 1), 40, "the reply")
        wait_until(lambda: aws.counts() == (0, 0), 30, "the queue is empty")
    assert reply[0]["result"]["code"] == "first"
    assert aws.result(jobs[0]) == before, "the first result stays"


def test_last_delivery_fails_the_job_for_the_client(aws: Cloud, start: Start) -> None:
    """What was given up on four times, perhaps by killing its worker, is answered as failed."""
    send(aws, range(1))
    url = aws.queue_url("visionfleet-requests")
    for _ in range(4):
        aws.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
    with start("w0"):
        found = results(aws, ["job0"])
    assert found["job0"]["code"] == "gave_up"
    assert found["job0"]["reason"] == "given up after 4 tries"
