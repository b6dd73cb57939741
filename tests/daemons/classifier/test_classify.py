"""The classifier as a real process against the embedded AWS."""

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from testkit import ROOT
from testkit.aws.embedded import BUCKETS, Cloud, anew
from testkit.images.hostile_files import corpus
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import PYTHONPATH, Process, started_module
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch

PICTURES = 40
REPLIES = "visionfleet-replies-test-0"
SETTINGS = """
queue: {visibility_timeout_seconds: 8, wait_seconds: 2}
classifier: {report_seconds: 1, stop_seconds: 8}
"""

Start = Callable[..., AbstractContextManager[Process]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """A table look-up model, quick and slow: about a quarter of a second per image.

    The slow one gets one thread, for what it does is to be slow, and that keeps a core free.
    """
    pictures = [numbered(i) for i in range(PICTURES)]
    labels = [f"label-{i}" for i in range(PICTURES)]
    made = {
        name: table_model(tmp_path_factory.mktemp(name), pictures, labels, rounds)
        for name, rounds in [("quick", 0), ("slow", 60)]
    }
    made["slow"]["VISIONFLEET_MODEL__THREADS"] = "1"
    return made


@pytest.fixture
def aws(running_aws: Cloud) -> Cloud:
    made = anew(running_aws, {"VisibilityTimeout": "8"})
    made.sqs.create_queue(QueueName=REPLIES)
    return made


@pytest.fixture
def start(aws: Cloud, models: dict[str, dict[str, str]], tmp_path: Path) -> Start:
    """Start a classifier: `start("w0", model="slow", VISIONFLEET_...=...)`."""
    config = tmp_path / "visionfleet.yaml"
    config.write_text(SETTINGS)

    def begin(worker: str, *, model: str = "quick", **more: str) -> AbstractContextManager[Process]:
        return started_module(
            "visionfleetd.classifier.main",
            *("--config", str(config), "--worker", worker),
            log=tmp_path / f"{worker}.log",
            env={**aws.environment, **models[model], **more},
            stop_seconds=20,
        )

    return begin


def send(aws: Cloud, numbers: range, **fields: object) -> list[str]:
    jobs = [f"job{i}" for i in numbers]
    for job, number in zip(jobs, numbers, strict=True):
        image = encoded(numbered(number))
        aws.send_request(job, image, **{"reply_to": REPLIES, "sent_at": time.time(), **fields})
    return jobs


def results(aws: Cloud, jobs: list[str], seconds: float = 40) -> dict[str, Any]:
    """Wait until every job has its result."""
    wait_until(lambda: len(aws.keys("results/job")) >= len(jobs), seconds, "all results")
    return {job: aws.result(job) for job in jobs}


def report(aws: Cloud, worker: str) -> dict[str, Any]:
    found = aws.object(f"fleet/workers/{worker}.json")
    return {} if found is None else json.loads(found)


def test_every_image_gets_its_own_label_and_a_reply(aws: Cloud, start: Start) -> None:
    jobs = send(aws, range(PICTURES), file_name="same-name.png", top=3)
    with start("w0"):
        found = results(aws, jobs)
        wait_until(lambda: aws.counts() == (0, 0), 10, "the queue is empty")
    assert {job: result["label"] for job, result in found.items()} == {
        f"job{i}": f"label-{i}" for i in range(PICTURES)
    }
    assert all(len(result["top"]) == 3 for result in found.values())
    assert {result["attempts"] for result in found.values()} == {1}
    assert all(result["model"]["name"] == "table" for result in found.values())
    replies = [reply for _ in range(6) for reply in aws.receive(REPLIES)]
    assert sorted(reply["job"] for reply in replies) == sorted(jobs)
    assert all(reply["result"] == found[reply["job"]] for reply in replies)


def test_bad_jobs_are_answers_and_harm_nobody(aws: Cloud, start: Start) -> None:
    good = send(aws, range(3))
    whole = encoded(numbered(1, side=200), "JPEG")
    aws.send_request("job-text", b"not an image at all")
    aws.send_request("job-truncated", whole[: len(whole) // 2])
    aws.send_request("job-empty", b"")
    aws.send_request("job-missing", None)
    aws.send_request("job-expired", encoded(numbered(2)), expires_at=1.0)
    aws.send("visionfleet-requests", "this is no message")
    with start("w0") as process:
        found = results(aws, [*good, *(f"job-{i}" for i in range(5))])
        dead = lambda: aws.counts("visionfleet-requests-dead") == (1, 0)  # noqa: E731
        wait_until(dead, 10, "the undecodable message is a dead letter")
        wait_until(lambda: aws.counts() == (0, 0), 10, "the queue is empty")
        assert "message cannot be decoded" in process.output()
        assert process.running
    assert all(found[job]["status"] == "succeeded" for job in good)
    codes = {
        name: (aws.result(f"job-{name}") or {})["code"]
        for name in ("text", "truncated", "empty", "missing", "expired")
    }
    assert codes == {
        "text": "not_an_image",
        "truncated": "cannot_be_decoded",
        "empty": "empty",
        "missing": "image_missing",
        "expired": "expired",
    }


def test_killed_with_ten_jobs_in_hand_another_answers_all(aws: Cloud, start: Start) -> None:
    jobs = send(aws, range(10))
    with start("w0", model="slow") as first:
        wait_until(lambda: aws.counts()[1] == 10, 40, first.tail)
        first.kill()
    already = {job for job in jobs if aws.result(job)}
    assert len(already) < 10
    with start("w1"):
        found = results(aws, jobs)
        wait_until(lambda: aws.counts() == (0, 0), 20, "the queue is empty")
    assert [found[f"job{i}"]["label"] for i in range(10)] == [f"label-{i}" for i in range(10)]
    assert {found[job]["worker"] for job in set(jobs) - already} == {"w1"}
    assert {found[job]["attempts"] for job in set(jobs) - already} == {2}
    assert len(aws.keys("results/")) == 10


def test_slow_work_is_held_beyond_the_visibility_timeout(aws: Cloud, start: Start) -> None:
    """40 images at about 0.3 s each take longer than 8 s: without a heartbeat they would return."""
    jobs = send(aws, range(PICTURES))
    began = time.monotonic()
    with start("w0", model="slow", VISIONFLEET_CLASSIFIER__PREFETCH="40"):
        found = results(aws, jobs, seconds=90)
    assert time.monotonic() - began > 8
    assert {result["attempts"] for result in found.values()} == {1}


def test_term_hands_back_what_is_not_begun(aws: Cloud, start: Start) -> None:
    jobs = send(aws, range(20))
    with start("w0", model="slow", VISIONFLEET_CLASSIFIER__BATCH_SIZE="1") as process:
        wait_until(lambda: len(aws.keys("results/job")) >= 1, 60, process.tail)
        status, seconds = process.stop(20)
        assert (status, seconds < 8) == (0, True), process.tail()
        visible, in_flight = aws.counts()
    assert in_flight == 0, "nothing hangs until its visibility timeout"
    assert visible + len(aws.keys("results/job")) == 20
    assert report(aws, "w0")["state"] == "stopped"
    with start("w1"):
        found = results(aws, jobs)
    assert [found[f"job{i}"]["label"] for i in range(20)] == [f"label-{i}" for i in range(20)]


def test_a_second_term_ends_at_once(aws: Cloud, start: Start) -> None:
    send(aws, range(10))
    with start("w0", model="slow", VISIONFLEET_CLASSIFIER__BATCH_SIZE="10") as process:
        wait_until(lambda: aws.counts()[1] == 10, 60, process.tail)
        process.signal(signal.SIGTERM)
        process.wait_for_output("stopping")
        process.signal(signal.SIGTERM)
        assert process.wait(2) == 130


def test_a_drained_worker_finishes_says_so_and_takes_no_more(aws: Cloud, start: Start) -> None:
    jobs = send(aws, range(10))
    with start("w0", model="slow") as process:
        wait_until(lambda: aws.counts()[1] == 10, 60, process.tail)
        wish = str(time.time()).encode()
        aws.s3.put_object(Bucket=BUCKETS[1], Key="fleet/drain/w0", Body=wish)
        wait_until(lambda: report(aws, "w0").get("state") == "drained", 30, process.tail)
        assert results(aws, jobs).keys() == set(jobs)
        aws.send_request("late", encoded(numbered(11)))
        with start("w1"):
            late = wait_until(lambda: aws.result("late"), 30, "another worker takes it")
        assert late["worker"] == "w1"
        assert process.stop(5)[0] == 0


def test_an_old_wish_to_drain_is_not_for_the_new_worker(aws: Cloud, start: Start) -> None:
    aws.s3.put_object(Bucket=BUCKETS[1], Key="fleet/drain/w0", Body=b"1000.0")
    with start("w0") as process:
        wait_until(lambda: report(aws, "w0").get("state") == "idle", 40, process.tail)
        jobs = send(aws, range(2))
        results(aws, jobs)
        assert "draining" not in process.output()


def test_a_message_seen_before_is_answered_from_its_result(aws: Cloud, start: Start) -> None:
    jobs = send(aws, range(1))
    url = aws.queue_url("visionfleet-requests")
    aws.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)  # a first delivery, lost
    before = {"v": 1, "status": "failed", "job": "job0", "code": "first", "reason": "was first"}
    before |= {"attempts": 1, "worker": "gone", "finished_at": 1.0, "file_name": ""}
    aws.s3.put_object(Bucket=BUCKETS[1], Key="results/job0.json", Body=json.dumps(before).encode())
    with start("w0"):
        reply = wait_until(lambda: aws.receive(REPLIES, 1), 40, "the reply")
        wait_until(lambda: aws.counts() == (0, 0), 10, "the queue is empty")
    assert reply[0]["result"]["code"] == "first"
    assert aws.result(jobs[0]) == before, "the first result stays"


def test_the_last_delivery_tells_the_client(aws: Cloud, start: Start) -> None:
    """What was given up on four times, perhaps by killing its worker, is answered as failed."""
    send(aws, range(1))
    url = aws.queue_url("visionfleet-requests")
    for _ in range(4):
        aws.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
    with start("w0"):
        found = results(aws, ["job0"])
    assert found["job0"]["code"] == "gave_up"
    assert found["job0"]["reason"] == "given up after 4 tries"


def test_hostile_files_leave_their_neighbours_alone(aws: Cloud, start: Start) -> None:
    """The whole corpus, with a good image between every two files."""
    samples = corpus()
    for i, sample in enumerate(samples):
        aws.send_request(f"job-odd-{i}", sample.data)
        aws.send_request(f"job-good-{i}", encoded(numbered(i % PICTURES)))
    jobs = [f"job-{kind}-{i}" for kind in ("odd", "good") for i in range(len(samples))]
    with start("w0"):
        found = results(aws, jobs, seconds=90)
    for i, sample in enumerate(samples):
        assert found[f"job-good-{i}"]["label"] == f"label-{i % PICTURES}"
        odd = found[f"job-odd-{i}"]
        if isinstance(sample.answer, str):
            assert (sample.name, odd.get("code")) == (sample.name, sample.answer)
        else:
            assert (sample.name, odd["status"]) == (sample.name, "succeeded")


def test_an_image_that_kills_its_worker_ends_alone_and_is_told(aws: Cloud, start: Start) -> None:
    """Its neighbours are answered, its client is told, and no fourth process dies of it."""
    jobs = send(aws, range(6))
    aws.send_request("job-poison", encoded(numbered(1, side=66)), sent_at=time.time())
    poison = str(ROOT / "testkit/images/poison")
    settings = {
        "PYTHONPATH": os.pathsep.join((poison, PYTHONPATH)),
        "VISIONFLEET_QUEUE__WAIT_SECONDS": "0",
        "VISIONFLEET_QUEUE__MAX_RECEIVES": "4",
    }
    for life in range(2):
        with start(f"life{life}", **settings) as process:
            assert process.wait(60) == -signal.SIGSEGV, process.tail()
    with start("last", **settings) as process:
        found = results(aws, [*jobs, "job-poison"], seconds=90)
        wait_until(lambda: aws.counts() == (0, 0), 20, "the queue is empty")
        assert process.running
    assert [found[job]["label"] for job in jobs] == [f"label-{i}" for i in range(6)]
    assert (found["job-poison"]["code"], found["job-poison"]["attempts"]) == ("crashed", 3)
    assert "signal 11" in found["job-poison"]["reason"]
    assert aws.counts("visionfleet-requests-dead") == (0, 0)


def test_a_score_below_the_threshold_gives_no_label_but_the_ranking_and_a_name(
    aws: Cloud, start: Start
) -> None:
    (job,) = send(aws, range(3, 4), file_name="a.png", top=3)
    more = {"VISIONFLEET_MODEL__UNKNOWN_BELOW": "1", "VISIONFLEET_MODEL__TEMPERATURE": "20"}
    with start("w0", VISIONFLEET_RESULTS__BY_NAME="true", **more):
        found = results(aws, [job])[job]
    assert (found["status"], found["label"], found["reason"]) == (
        "succeeded",
        None,
        "low confidence",
    )
    assert found["top"][0]["label"] == "label-3"
    assert found["score"] == found["top"][0]["score"] < 1
    assert aws.object("results/by-name/a") == b"label-3", "plain clients get the best guess"


def test_results_by_name_when_wanted(aws: Cloud, start: Start) -> None:
    send(aws, range(1), file_name="test_0.JPEG")
    with start("w0", VISIONFLEET_RESULTS__BY_NAME="true"):
        results(aws, ["job0"])
        label = wait_until(lambda: aws.object("results/by-name/test_0"), 10, "the label")
    assert label == b"label-0"


def test_once_answers_what_waits_and_exits(
    aws: Cloud, models: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    jobs = send(aws, range(5))
    config = tmp_path / "visionfleet.yaml"
    config.write_text(SETTINGS)
    options = ("--config", str(config), "--once")
    env = {**aws.environment, **models["quick"]}
    with started_module(
        "visionfleetd.classifier.main", *options, log=tmp_path / "once.log", env=env
    ) as process:
        process.assert_exit(0, seconds=40)
    assert results(aws, jobs, seconds=1).keys() == set(jobs)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"VISIONFLEET_MODEL__SHA256": f"'{'0' * 64}'"}, "its SHA-256 is"),
        ({"VISIONFLEET_MODEL__PATH": "/nowhere/model.pt"}, "/nowhere/model.pt: cannot be read"),
    ],
)
def test_a_model_that_cannot_be_used_is_told(
    start: Start, settings: dict[str, str], sentence: str
) -> None:
    with start("w0", **settings) as process:
        process.assert_exit(78, seconds=40)
        assert sentence in process.output()
        assert "Traceback" not in process.output()


def test_it_waits_for_aws_and_crashes_on_what_nobody_expected(
    aws: Cloud, start: Start, tmp_path: Path
) -> None:
    with start("w0", VISIONFLEET_AWS__ENDPOINT_URL="http://127.0.0.1:9") as process:
        process.wait_for_output("waiting for AWS", 40)
        assert process.stop(10)[0] == 0
    aws.s3.delete_bucket(Bucket=BUCKETS[0])
    with start("w1") as process:
        process.assert_exit(1, seconds=40)
        assert "visionfleet provision" in process.output()
