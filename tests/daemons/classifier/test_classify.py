"""The classifier as a real process against the embedded AWS."""

import json
import time
from pathlib import Path

import pytest

from testkit.aws.embedded import BUCKETS, Cloud
from testkit.classifier.daemon import PICTURES, REPLIES, Start, results, send
from testkit.images.hostile_files import hostile_files
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import started_module
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch


def test_every_image_gets_its_own_label_and_a_reply(aws: Cloud, start: Start) -> None:
    jobs = send(aws, range(PICTURES), file_name="same-name.png", top=3)
    with start("w0"):
        found = results(aws, jobs)
        wait_until(lambda: aws.counts() == (0, 0), 30, "the queue is empty")
    assert {job: result["label"] for job, result in found.items()} == {
        f"job{i}": f"label-{i}" for i in range(PICTURES)
    }
    assert all(len(result["top"]) == 3 for result in found.values())
    assert {result["attempts"] for result in found.values()} == {1}
    assert all(result["model"]["name"] == "table" for result in found.values())
    replies = [reply for _ in range(6) for reply in aws.receive(REPLIES)]
    assert sorted(reply["job"] for reply in replies) == sorted(jobs)
    assert all(reply["result"] == found[reply["job"]] for reply in replies)


def test_bad_jobs_fail_with_a_reason_and_harm_no_others(aws: Cloud, start: Start) -> None:
    good = send(aws, range(3))
    whole = encoded(numbered(1, side=200), "JPEG")
    aws.send_request("job-text", b"not an image at all")
    aws.send_request("job-truncated", whole[: len(whole) // 2])
    aws.send_request("job-empty", b"")
    aws.send_request("job-large", bytes(5 << 20))
    aws.send_request("job-missing", None, sent_at=time.time())
    aws.send_request("job-late", None, sent_at=time.time() - 86_500)
    aws.send_request("job-expired", encoded(numbered(2)), expires_at=1.0)
    aws.send("visionfleet-requests", "this is no message")
    with start("w0", VISIONFLEET_IMAGES__MAX_BYTES="1000000") as process:
        found = results(aws, [*good, *(f"job-{i}" for i in range(7))])
        dead = lambda: aws.counts("visionfleet-requests-dead") == (1, 0)  # noqa: E731
        wait_until(dead, 30, "the undecodable message is a dead letter")
        wait_until(lambda: aws.counts() == (0, 0), 30, "the queue is empty")
        assert "message cannot be decoded" in process.output()
        assert process.running
    assert all(found[job]["status"] == "succeeded" for job in good)
    codes = {
        name: (aws.result(f"job-{name}") or {})["code"]
        for name in ("text", "truncated", "empty", "large", "missing", "late", "expired")
    }
    assert codes == {
        "text": "not_an_image",
        "truncated": "cannot_be_decoded",
        "empty": "empty",
        "large": "too_large",
        "missing": "image_missing",
        "late": "expired",
        "expired": "expired",
    }


def test_hostile_files_do_not_harm_the_rest_of_the_batch(aws: Cloud, start: Start) -> None:
    """The whole corpus, with a good image between every two files."""
    samples = hostile_files()
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


def test_low_confidence_gives_a_ranking_without_a_label(aws: Cloud, start: Start) -> None:
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


def test_worker_tells_which_model_it_has(aws: Cloud, start: Start) -> None:
    with start("w0", VISIONFLEET_MODEL__UNKNOWN_BELOW="0.25"):
        body = wait_until(lambda: aws.object("fleet/model.json"), 40, "the model is told")
    told = json.loads(body)
    assert told["labels"] == [f"label-{i}" for i in range(PICTURES)]
    assert told["input"] == {"side": 32, "shorter_side": 32, "interpolation": "bilinear"}
    assert (told["name"], told["unknown_below"], told["temperature"]) == ("table", 0.25, 1.0)
    assert (told["runtime"], told["precision"], told["worker"]) == ("torch", "float32", "w0")
    assert len(told["fingerprint"]) == 16


def test_results_by_name_are_written_when_enabled(aws: Cloud, start: Start) -> None:
    send(aws, range(1), file_name="test_0.JPEG")
    with start("w0", VISIONFLEET_RESULTS__BY_NAME="true"):
        results(aws, ["job0"])
        label = wait_until(lambda: aws.object("results/by-name/test_0"), 30, "the label")
    assert label == b"label-0"


def test_once_option_answers_the_queue_and_exits(
    aws: Cloud, models: dict[str, dict[str, str]], settings: str, tmp_path: Path
) -> None:
    jobs = send(aws, range(5))
    config = tmp_path / "visionfleet.yaml"
    config.write_text(settings)
    options = ("--config", str(config), "--once")
    env = {**aws.environment, **models["quick"]}
    with started_module(
        "visionfleetd.classifier.main", *options, log=tmp_path / "once.log", env=env
    ) as process:
        process.assert_exit(0, seconds=40)
    assert results(aws, jobs, seconds=1).keys() == set(jobs)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ({"VISIONFLEET_MODEL__SHA256": f"'{'0' * 64}'"}, "its SHA-256 is"),
        (
            {
                "VISIONFLEET_MODEL__PATH": "/nowhere/model.pt",
                "VISIONFLEET_MODEL__SHA256": f"'{'1' * 64}'",
            },
            "/nowhere/model.pt: cannot be read",
        ),
    ],
)
def test_unusable_model_is_one_clear_error(
    start: Start, model: dict[str, str], sentence: str
) -> None:
    with start("w0", **model) as process:
        process.assert_exit(78, seconds=40)
        assert sentence in process.output()
        assert "Traceback" not in process.output()


def test_waits_for_aws_and_exits_on_unexpected_errors(
    aws: Cloud, start: Start, tmp_path: Path
) -> None:
    with start("w0", VISIONFLEET_AWS__ENDPOINT_URL="http://127.0.0.1:9") as process:
        process.wait_for_output("waiting for AWS", 40)
        assert process.stop()[0] == 0
    aws.s3.delete_bucket(Bucket=BUCKETS[0])
    with start("w1") as process:
        process.assert_exit(1, seconds=40)
        assert "visionfleet provision" in process.output()
