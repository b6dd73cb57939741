"""Jobs that outlive their request: 202, polling, lost replies, and a web daemon that was killed."""

import http.client
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import requests

from testkit.aws.embedded import BUCKETS, Cloud, emptied
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.waiting import wait_until
from testkit.web.daemon import Web, reply_queues, web_daemon

IMAGE = encoded(numbered(0))

pytestmark = pytest.mark.usefixtures("no_requests")


@pytest.fixture(scope="module")
def aws(running_aws: Cloud) -> Cloud:
    return emptied(running_aws, {"VisibilityTimeout": "60"})


def test_job_is_202_at_once_and_answered_later(aws: Cloud, web: Web) -> None:
    accepted = web.post("/v1/jobs", files={"file": ("cat.png", IMAGE)})
    location = accepted.headers["Location"]
    job = accepted.json()["job"]
    assert accepted.status_code == 202
    assert accepted.json() == {"job": job, "status": "queued", "location": location}
    assert location == f"/v1/jobs/{job}"
    queued = web.get(location)
    assert (queued.status_code, queued.json()) == (202, accepted.json())
    with stand_in(aws):
        done = web.get(f"{location}?wait=20")
    assert (done.status_code, done.json()["label"]) == (200, label_of(IMAGE))
    assert done.json()["file_name"] == "cat.png"


def test_several_files_are_several_jobs(web: Web) -> None:
    files = [("f", ("1", IMAGE)), ("f", ("2", b"text")), ("f", ("3", IMAGE))]
    answer = web.post("/v1/jobs", files=files)
    assert answer.status_code == 202
    assert [one["status"] for one in answer.json()["jobs"]] == ["queued", 415, "queued"]
    assert len({one.get("job") for one in answer.json()["jobs"]}) == 3


def test_failed_job_is_given_as_its_result(aws: Cloud, web: Web) -> None:
    location = web.post("/v1/jobs", data=IMAGE).headers["Location"]
    with stand_in(aws, fails=True):
        done = web.get(f"{location}?wait=20")
    assert done.status_code == 200
    assert (done.json()["status"], done.json()["code"]) == ("failed", "cannot_be_decoded")


@pytest.mark.parametrize("path", ["/v1/classify?wait=0.3", "/v1/classify?wait=0"])
def test_wait_timeout_is_202_with_the_job(aws: Cloud, web: Web, path: str) -> None:
    answer = web.post(path, data=IMAGE)
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    with stand_in(aws):
        done = web.get(answer.headers["Location"] + "?wait=20")
    assert done.json()["label"] == label_of(IMAGE)


def test_wait_timeout_gives_the_finished_of_several(aws: Cloud, web: Web) -> None:
    files = [("f", ("1", IMAGE)), ("f", ("2", b"text"))]
    answer = web.post("/v1/classify?wait=0.3", files=files)
    assert answer.status_code == 202
    queued, refused = answer.json()["results"]
    assert (queued["status"], refused["status"]) == ("queued", 415)
    assert queued["location"] == f"/v1/jobs/{queued['job']}"


def test_plain_wait_timeout_is_202_with_the_job(aws: Cloud, tmp_path: Path) -> None:
    with web_daemon(aws, tmp_path, WEB__MAX_WAIT_SECONDS="1") as web:
        answer = web.post("/", files={"myfile": ("test_0.JPEG", IMAGE)})
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['job']}"


@pytest.mark.parametrize("path", ["/v1/classify?wait=25", "/"])
def test_lost_reply_costs_seconds_not_the_whole_wait(aws: Cloud, web: Web, path: str) -> None:
    started = time.monotonic()
    with stand_in(aws, replies=0):
        answer = web.post(path, data=IMAGE)
    assert answer.status_code == 200
    assert label_of(IMAGE) in answer.text
    assert 4 < time.monotonic() - started < 22


def test_lost_reply_is_found_at_the_end_of_a_short_wait(aws: Cloud, web: Web) -> None:
    with stand_in(aws, replies=0):
        answer = web.post("/v1/classify?wait=3", data=IMAGE)
    assert (answer.status_code, answer.json()["label"]) == (200, label_of(IMAGE))


def test_foreign_and_malformed_replies_do_no_harm(aws: Cloud, web: Web) -> None:
    queues = reply_queues(aws)
    (mine,) = queues
    for body in ("nonsense", '{"v": 1}', '{"v": 9, "job": "x"}'):
        aws.send(mine, body)
    with stand_in(aws):
        assert web.post("/", data=IMAGE).text == label_of(IMAGE)
    wait_until(lambda: aws.counts(mine) == (0, 0), 30, lambda: str(aws.counts(mine)))


def test_job_of_another_web_process_can_be_awaited(aws: Cloud, web: Web, tmp_path: Path) -> None:
    location = web.post("/v1/jobs", data=IMAGE).headers["Location"]
    answers: list[requests.Response] = []
    with web_daemon(aws, tmp_path) as other:
        client = threading.Thread(target=lambda: answers.append(other.get(f"{location}?wait=20")))
        client.start()
        with stand_in(aws):
            client.join()
    assert answers[0].json()["label"] == label_of(IMAGE)


def test_disconnected_client_frees_memory_and_its_job_goes_on(aws: Cloud, web: Web) -> None:
    before = web.process.output().count("job accepted")
    with closing(http.client.HTTPConnection(web.url.removeprefix("http://"), timeout=30)) as client:
        client.request("POST", "/", IMAGE)
        wait_until(
            lambda: web.process.output().count("job accepted") > before, 30, web.process.tail
        )
    job = web.process.output().rpartition("job accepted job=")[2].split()[0]
    with stand_in(aws):
        done = web.get(f"/v1/jobs/{job}?wait=20")
    assert done.json()["label"] == label_of(IMAGE)
    assert "Traceback" not in web.process.output()


def test_deleted_reply_queue_is_recreated(aws: Cloud, tmp_path: Path) -> None:
    before = set(reply_queues(aws))
    with web_daemon(aws, tmp_path) as web:
        (mine,) = set(reply_queues(aws)) - before
        aws.sqs.delete_queue(QueueUrl=aws.queue_url(mine))
        web.process.wait_for_output("reply queue was gone, made again", 90)
        assert mine in reply_queues(aws)
        with stand_in(aws):
            assert web.post("/v1/classify?wait=4", data=IMAGE).status_code == 200


def test_unreadable_result_is_500(aws: Cloud, web: Web) -> None:
    location = web.post("/v1/jobs", data=IMAGE).headers["Location"]
    job = location.rsplit("/", 1)[-1]
    aws.s3.put_object(Bucket=BUCKETS[1], Key=f"results/{job}.json", Body=b"\xff{")
    answer = web.get(location)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "ERROR web: result unreadable" in web.process.output()


def test_upload_that_comes_again_replaces_an_unreadable_result(aws: Cloud, web: Web) -> None:
    target = web.post("/v1/uploads").json()
    form, upload = {"file": IMAGE}, {"upload": target["upload"]}
    assert requests.post(target["url"], data=target["fields"], files=form, timeout=10).ok
    key = {"Idempotency-Key": "unreadable-result"}
    for sent in ({"data": IMAGE, "headers": key}, {"json": upload}):
        job = web.post("/v1/jobs", **sent).json()["job"]
        aws.s3.put_object(Bucket=BUCKETS[1], Key=f"results/{job}.json", Body=b'{"v": 1}')
        assert web.post("/v1/jobs", **sent).json()["job"] == job
        with stand_in(aws):
            wait_until(partial(is_answered, web, job), 20)


def is_answered(web: Web, job: str) -> bool:
    return web.get(f"/v1/jobs/{job}").status_code == 200
