"""`visionfleet dead` as a real process."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from testkit.aws.embedded import BUCKETS, NAME, Cloud
from testkit.aws.move_tasks import FakeMoveTasks, move_task_proxy
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.cli import COMMAND, at, config_file, visionfleet
from testkit.processes.daemons import started, started_module
from testkit.processes.waiting import wait_until

REQUESTS, DEAD = f"{NAME}-requests", f"{NAME}-requests-dead"
GAVE_UP = {"v": 1, "status": "failed", "job": "j0", "code": "gave_up", "reason": "given up"}
GAVE_UP |= {"attempts": 4, "worker": "w", "finished_at": 1.0}


def send_dead(aws: Cloud, *jobs: str, file_name: str = "a.png") -> None:
    for job in jobs:
        request = {"v": 1, "job": job, "key": f"images/{job}", "sent_at": time.time()}
        aws.send(DEAD, json.dumps(request | {"file_name": file_name}))


def give_up(aws: Cloud, job: str) -> None:
    body = json.dumps(GAVE_UP | {"job": job}).encode()
    aws.s3.put_object(Bucket=BUCKETS[1], Key=f"results/{job}.json", Body=body)


def dead(aws: Cloud, folder: Path, *arguments: str) -> Any:
    done = visionfleet("dead", *arguments, "--config", config_file(folder), env=at(aws))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


def test_list_shows_each_reason_and_removes_nothing(aws: Cloud, tmp_path: Path) -> None:
    send_dead(aws, "j0", "j1", file_name="caf\x1b[31mé.png")
    give_up(aws, "j0")
    aws.send(DEAD, "no message")
    lines = dead(aws, tmp_path, "list").splitlines()
    assert " ".join(lines[0].split()) == "job or message id sent received file: reason"
    text = "\n".join(lines)
    assert "gave_up" in text
    assert "no result" in text
    assert "Invalid JSON" in text
    assert "caf\\x1b[31mé.png" in text, "a stranger's name does not command the terminal"
    assert lines[-1] == "3 shown of about 3 dead letters."
    assert aws.counts(DEAD) == (3, 0), "at once back again"
    document = dead(aws, tmp_path, "list", "--json", "--limit", "2")
    assert (document["about"], len(document["letters"])) == (3, 2)
    assert document["letters"][0]["received"] == 2, "looks count"


def test_empty_list_says_so(aws: Cloud, tmp_path: Path) -> None:
    assert dead(aws, tmp_path, "list") == "0 shown of about 0 dead letters.\n"


def test_show_finds_by_job_and_by_message_id(aws: Cloud, tmp_path: Path) -> None:
    send_dead(aws, "j0", "j1")
    give_up(aws, "j0")
    aws.s3.put_object(Bucket=BUCKETS[0], Key="images/j0", Body=b"x")
    found = dead(aws, tmp_path, "show", "j0", "--json")
    assert found["result"]["code"] == "gave_up"
    assert (found["image_exists"], found["fault"]) == (True, None)
    assert json.loads(found["body"])["job"] == "j0"
    assert not dead(aws, tmp_path, "show", "j1", "--json")["image_exists"]
    again = dead(aws, tmp_path, "show", found["message_id"])
    assert "\nimage_exists: true\n" in again
    assert aws.counts(DEAD) == (2, 0)
    done = visionfleet("dead", "show", "j7", "--config", config_file(tmp_path), env=at(aws))
    assert (done.returncode, "j7 is not among" in done.stderr) == (1, True)


def test_redrive_reports_how_it_moved_messages(aws: Cloud, tmp_path: Path) -> None:
    send_dead(aws, *(f"j{i}" for i in range(12)))
    aws.send(DEAD, "no message")
    output = dead(aws, tmp_path, "redrive", "--limit", "2")
    assert (
        output
        == "Moving one by one: dead letters are chosen\n2 moved, about 11 dead letters left.\n"
    )
    dead(aws, tmp_path, "redrive", "--only-decodable", "--rate", "100")
    assert (aws.counts(DEAD), aws.counts(REQUESTS)) == ((1, 0), (12, 0))
    output = dead(aws, tmp_path, "redrive", "--all")
    assert output.startswith("Moving one by one: SQS does not do it itself (list message move")
    assert output.endswith("\n1 moved, about 0 dead letters left.\n")
    assert (aws.counts(DEAD), aws.counts(REQUESTS)) == ((0, 0), (13, 0))


def test_redrive_uses_an_sqs_move_task_where_possible(aws: Cloud, tmp_path: Path) -> None:
    url = aws.queue_url(DEAD)
    found = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    sqs = FakeMoveTasks(found["Attributes"]["QueueArn"], waiting=15)
    with move_task_proxy(aws.endpoint_url, sqs) as proxy:
        env = {"VISIONFLEET_AWS__ENDPOINT_URL": proxy.url}
        argv = ("dead", "redrive", "--rate", "20", "--config", config_file(tmp_path))
        done = visionfleet(*argv, env=env)
        lines = done.stdout.splitlines()
        assert (done.returncode, lines[0]) == (0, "SQS moves them."), done.stderr
        assert lines[-1] == "completed: 15 of about 15 moved"
        assert sqs.started[0]["MaxNumberOfMessagesPerSecond"] == 20
        assert sqs.started[0]["DestinationArn"].endswith(f":{REQUESTS}")
        sqs.waiting = 5
        sqs.start_message_move_task()  # somebody else
        follows = visionfleet(*argv, env=env)
        assert follows.stdout.startswith("A move task is under way already; this follows it.\n")
        assert len(sqs.started) == 2


def test_interrupted_redrive_loses_no_message(aws: Cloud, tmp_path: Path) -> None:
    send_dead(aws, *(f"j{i}" for i in range(30)))
    argv = [*COMMAND, "dead", "redrive", "--rate", "5", "--config", config_file(tmp_path)]
    with started(argv, tmp_path / "log", at(aws)) as process:
        wait_until(lambda: aws.counts(REQUESTS)[0] >= 3, 30, process.tail)
        process.signal(signal.SIGINT)
        process.assert_exit(130)
    moved = aws.counts(REQUESTS)[0]
    assert 3 <= moved < 30
    assert aws.counts(DEAD) in [(30 - moved, 0), (31 - moved, 0)], "perhaps one in both"
    dead(aws, tmp_path, "redrive")
    assert aws.counts(DEAD) == (0, 0)
    assert aws.counts(REQUESTS)[0] in (30, 31)


@pytest.mark.needs_torch
def test_redriven_job_replaces_its_failed_result(aws: Cloud, tmp_path: Path) -> None:
    """Also when the first worker to try it again dies: its second delivery is a try as well."""
    send_dead(aws, "j0", "j1")
    for number, job in enumerate(("j0", "j1")):
        image = encoded(numbered(number))
        aws.s3.put_object(Bucket=BUCKETS[0], Key=f"images/{job}", Body=image)
        give_up(aws, job)
    dead(aws, tmp_path, "redrive")
    url = aws.queue_url(REQUESTS)
    first = aws.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, MaxNumberOfMessages=1)
    assert first["Messages"]
    model = table_model(tmp_path, [numbered(0), numbered(1)], ["zero", "one"])
    options = ("--config", config_file(tmp_path), "--once")
    log = tmp_path / "worker.log"
    module = "visionfleetd.classifier.main"
    with started_module(module, *options, log=log, env={**aws.environment, **model}) as process:
        process.assert_exit(0, seconds=60)
    assert [(aws.result(job) or {}).get("label") for job in ("j0", "j1")] == ["zero", "one"]
    assert (aws.counts(), aws.counts(DEAD)) == ((0, 0), (0, 0))
