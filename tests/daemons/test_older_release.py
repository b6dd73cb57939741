"""Daemons of this release beside those of an older one, on one deployment's queues and objects.

The older release speaks through its recording (testkit/contract/recorder.py); only times and job
ids are filled in, so that what it said is news again.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testkit.aws.embedded import BUCKETS, NAME, Cloud, add_template, ec2_client
from testkit.classifier.daemon import classifier_daemon, report
from testkit.contract.recorded import recorded
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.cli import at, config_file, visionfleet
from testkit.processes.daemons import Process, started_module
from testkit.processes.waiting import wait_until
from testkit.web.daemon import web_daemon

REQUESTS, DEAD = f"{NAME}-requests", f"{NAME}-requests-dead"
IMAGE = encoded(numbered(0))
CLASSIFIER = "queue: {wait_seconds: 1}\nclassifier: {report_seconds: 1}\n"
SCALER = """
scaler: {fleet: ec2, interval_seconds: 0.2, lease_seconds: 10}
ec2: {launch_template: workers}
"""


def bodies(kind: str) -> list[dict[str, Any]]:
    return [json.loads(record["body"]) for record in recorded(kind)]


def the(kind: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    return next(filter(wanted, bodies(kind)))


def put(aws: Cloud, key: str, body: dict[str, Any] | str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    aws.s3.put_object(Bucket=BUCKETS[1], Key=key, Body=text.encode())


SUCCEEDED = the("reply", lambda reply: reply["result"]["status"] == "succeeded")
UNSURE = the("reply", lambda reply: reply["result"].get("reason") == "low confidence")
FAILED = the("reply", lambda reply: reply["result"].get("code") == "not_an_image")


def with_job(reply: dict[str, Any], job: str) -> dict[str, Any]:
    return reply | {"job": job, "result": reply["result"] | {"job": job}}


def taken(aws: Cloud) -> dict[str, Any]:
    """Receive the one request that the web daemon has sent."""
    (request,) = wait_until(lambda: aws.receive(REQUESTS, 1), 20)
    return dict(request)


@contextmanager
def old_classifier(aws: Cloud, reply: dict[str, Any], *, replies: bool) -> Iterator[None]:
    """Answer one request as the older release has; its reply may be lost."""

    def answer() -> None:
        request = taken(aws)
        filled = with_job(reply, request["job"])
        put(aws, f"results/{request['job']}.json", filled["result"])
        if replies:
            aws.send(request["reply_to"], json.dumps(filled))

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.parametrize("reply", [SUCCEEDED, UNSURE], ids=["sure", "unsure"])
def test_web_takes_recorded_replies(aws: Cloud, tmp_path: Path, reply: dict[str, Any]) -> None:
    with web_daemon(aws, tmp_path) as web, old_classifier(aws, reply, replies=True):
        answer = web.post("/v1/classify", data=IMAGE).json()
        again = web.get(f"/v1/jobs/{answer['job']}").json()
    expected = with_job(reply, answer["job"])["result"]
    assert {name: answer.get(name) for name in expected if name != "v"} == {
        name: value for name, value in expected.items() if name != "v"
    }
    assert again == answer


def test_web_takes_a_recorded_failure(aws: Cloud, tmp_path: Path) -> None:
    with web_daemon(aws, tmp_path) as web, old_classifier(aws, FAILED, replies=True):
        answer = web.post("/v1/classify", data=IMAGE)
    assert answer.status_code == 415
    assert answer.json()["code"] == FAILED["result"]["code"]
    assert FAILED["result"]["reason"] in answer.text


def test_web_finds_a_recorded_result_without_a_reply(aws: Cloud, tmp_path: Path) -> None:
    with web_daemon(aws, tmp_path) as web, old_classifier(aws, SUCCEEDED, replies=False):
        answer = web.post("/v1/classify?wait=3", data=IMAGE).json()
        found = web.get(f"/v1/jobs/{answer['job']}?wait=20").json()
    assert (found["status"], found["label"]) == ("succeeded", SUCCEEDED["result"]["label"])


def test_web_keeps_recorded_idempotency_claims(aws: Cloud, tmp_path: Path) -> None:
    (claim,) = recorded("claim")
    put(aws, claim["key"], claim["body"])
    job = json.loads(claim["body"])["job"]
    with web_daemon(aws, tmp_path) as web:
        key = {"Idempotency-Key": "once"}
        same = web.post("/v1/jobs", data=encoded(numbered(1)), headers=key)
        other = web.post("/v1/jobs", data=encoded(numbered(2)), headers=key)
    assert same.json()["job"] == job
    assert other.json()["code"] == "key_reused"


def test_web_answers_from_recorded_cached_results(aws: Cloud, tmp_path: Path) -> None:
    (cached,) = recorded("cached result")
    put(aws, cached["key"], cached["body"])
    report = the("worker report", lambda report: report["state"] == "idle")
    put(aws, f"fleet/workers/{report['worker']}.json", report | {"reported_at": time.time()})
    with web_daemon(aws, tmp_path, WEB__CACHE="true") as web:
        answer = web.post("/v1/classify?top=3", data=encoded(numbered(5))).json()
    result = json.loads(cached["body"])["result"]
    assert (answer["attempts"], answer["label"]) == (0, result["label"])
    assert answer["top"] == result["top"][:3]


def test_web_shows_the_recorded_fleet_status(aws: Cloud, tmp_path: Path) -> None:
    status = bodies("fleet status")[-1]
    put(aws, "fleet/status.json", status)
    with web_daemon(aws, tmp_path) as web:
        found = web.get("/v1/fleet").json()
    assert {name: found[name] for name in ("states", "decision", "history")} == {
        name: status[name] for name in ("states", "decision", "history")
    }


@contextmanager
def classifier(aws: Cloud, folder: Path, worker: str) -> Iterator[Process]:
    pictures = [numbered(i) for i in range(6)]
    model = table_model(folder, pictures, [f"label-{i}" for i in range(6)])
    with classifier_daemon(aws, folder, worker, CLASSIFIER, **model) as process:
        yield process


@pytest.mark.needs_torch
def test_classifier_answers_recorded_requests(aws: Cloud, tmp_path: Path) -> None:
    expected = {reply["job"]: reply["result"] for reply in bodies("reply")}
    asked = [
        r | {"expires_at": time.time() + 600, "sent_at": time.time()} for r in bodies("request")
    ]
    replies = asked[0]["reply_to"]
    aws.sqs.create_queue(QueueName=replies)
    for number, request in enumerate(asked):
        form = "JPEG" if request["file_name"].endswith(".JPEG") else "PNG"
        image = encoded(numbered(number), form)
        aws.s3.put_object(Bucket=BUCKETS[0], Key=request["key"], Body=image)
        aws.send(REQUESTS, json.dumps(request))
    with classifier(aws, tmp_path, "w0") as process:
        jobs = {request["job"] for request in asked}
        wait_until(lambda: all(map(aws.result, jobs)), 40, process.tail)
        wait_until(lambda: aws.counts() == (0, 0), 30, process.tail)
    came = [reply for _ in asked for reply in aws.receive(replies)]
    assert {reply["job"] for reply in came} == jobs
    for reply in came:
        old = expected[reply["job"]]
        assert reply["result"] == aws.result(reply["job"])
        assert reply["result"].keys() >= old.keys()
        same = ("v", "status", "job", "file_name", "label", "reason", "attempts", "worker")
        assert {name: reply["result"][name] for name in same} == {name: old[name] for name in same}
        assert len(reply["result"]["top"]) == len(old["top"])


@pytest.mark.needs_torch
def test_classifier_heeds_a_recorded_drain_request(aws: Cloud, tmp_path: Path) -> None:
    (drain,) = recorded("drain")
    worker = drain["key"].rsplit("/", 1)[-1]
    assert float(drain["body"]) > 0, "the time, in seconds"
    with classifier(aws, tmp_path, worker) as process:
        process.wait_for_output("ready", 40)
        put(aws, drain["key"], str(time.time()))
        process.wait_for_output("drained", 20)
        wait_until(lambda: report(aws, worker)["state"] == "drained", 20, process.tail)
        told = report(aws, worker)
    old = the("worker report", lambda report: report["state"] == "drained")
    assert told.keys() >= old.keys()


def test_scaler_follows_a_recorded_scaler(aws: Cloud, tmp_path: Path) -> None:
    for kind in ("launch ledger", "fleet status", "worker report", "drain"):
        for record in recorded(kind):
            put(aws, record["key"], record["body"])
    old = bodies("lease")[-1]
    put(aws, "fleet/lease.json", old | {"expires_at": time.time() + 3600})
    add_template(ec2_client(aws))
    config = tmp_path / "scaler.yaml"
    config.write_text(SCALER)
    with started_module(
        "visionfleetd.scaler.main",
        *("--config", str(config)),
        log=tmp_path / "scaler.log",
        env=aws.environment,
    ) as scaler:
        scaler.wait_for_output("standby", 40)
        put(aws, "fleet/lease.json", old)  # which has expired
        scaler.wait_for_output("acting", 40)
        lease = json.loads(aws.object("fleet/lease.json") or b"{}")
        assert lease["term"] == old["term"] + 1

        def status() -> Any:
            return json.loads(aws.object("fleet/status.json") or b"{}")

        wait_until(lambda: status().get("holder") == lease["holder"], 20, scaler.tail)
        assert status().keys() >= bodies("fleet status")[-1].keys()
        assert scaler.stop()[0] == 0
        assert "Traceback" not in scaler.output()


def test_dead_letters_show_their_recorded_reason(aws: Cloud, tmp_path: Path) -> None:
    (letter,) = recorded("dead letter")
    attributes = {
        name: {"DataType": "String", "StringValue": text}
        for name, text in letter["attributes"].items()
    }
    aws.sqs.send_message(
        QueueUrl=aws.queue_url(DEAD), MessageBody=letter["body"], MessageAttributes=attributes
    )
    done = visionfleet("dead", "list", "--config", config_file(tmp_path), env=at(aws))
    assert "Invalid JSON" in done.stdout
