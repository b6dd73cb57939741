"""The whole service at an AWS that is there: MiniStack, and all that `visionfleet up` starts."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from testkit.aws.embedded import CREDENTIALS, NAME, Cloud
from testkit.aws.ministack import bare_ministack
from testkit.aws.move_tasks import WorkingMoveTasks, move_task_proxy
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.cli import config_file, visionfleet
from testkit.processes.stack import Stack, stack
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch
DEAD = f"{NAME}-requests-dead"
PICTURES = [encoded(numbered(number)) for number in range(20)]


@dataclass(frozen=True)
class Service:
    stack: Stack
    aws: Cloud

    def post(self, path: str, **options: Any) -> requests.Response:
        return requests.post(self.stack.url + path, timeout=120, **options)

    def label(self, job: str) -> str | None:
        return (self.aws.result(job) or {}).get("label")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("ministack")
    pictures = [numbered(number) for number in range(len(PICTURES))]
    labels = [f"picture {number}" for number in range(len(PICTURES))]
    settings = {**table_model(folder, pictures, labels), **CREDENTIALS}
    settings["VISIONFLEET_IMAGES__MAX_BYTES"] = "10000"
    with bare_ministack(folder, True) as aws, stack(settings, aws) as running:
        yield Service(running, aws)


def test_aws_that_is_there_is_used_and_provisioned(service: Service) -> None:
    told = service.stack.process.output()
    assert "bucket visionfleet-input: made, closed to the public" in told
    assert f"queue {NAME}-requests: ready" in told
    assert "AWS is not embedded" in told
    assert not service.stack.pids("embedded-aws")


def test_each_of_200_uploads_gets_its_own_label(service: Service) -> None:
    def ask(number: int) -> str:
        picture = PICTURES[number % len(PICTURES)]
        answer = service.post("/v1/classify?wait=100", files={"file": ("a.png", picture)})
        return str(answer.json().get("label", answer.text))

    with ThreadPoolExecutor(16) as clients:
        found = list(clients.map(ask, range(200)))
    assert found == [f"picture {number % len(PICTURES)}" for number in range(200)]


def test_dead_letters_come_back_by_move_task(service: Service, tmp_path: Path) -> None:
    aws = service.aws
    jobs = [f"dead{number}" for number in range(5)]
    for number, job in enumerate(jobs):
        aws.s3.put_object(Bucket="visionfleet-input", Key=f"images/{job}", Body=PICTURES[number])
        request = {"v": 1, "job": job, "key": f"images/{job}", "sent_at": time.time()}
        aws.send(DEAD, json.dumps(request))
    aws.send(f"{NAME}-requests", "no message")
    wait_until(lambda: aws.counts(DEAD) == (6, 0), 60, "it is buried")
    tasks = WorkingMoveTasks(aws, DEAD, f"{NAME}-requests")
    with move_task_proxy(aws.endpoint_url, tasks) as proxy:
        argv = ("dead", "redrive", "--config", config_file(tmp_path))
        done = visionfleet(*argv, env={"AWS_ENDPOINT_URL_SQS": proxy.url, **aws.environment})
    assert done.stdout.startswith("SQS moves them."), done.stdout + done.stderr
    expected = [f"picture {number}" for number in range(5)]
    wait_until(lambda: [service.label(job) for job in jobs] == expected, 60, "they are answered")
    wait_until(lambda: aws.counts(DEAD) == (1, 0), 30, "what is no message is buried again")


FALSE: dict[str, dict[str, Any]] = {
    "too large": {"body": b"x" * 10_001},
    "empty": {"body": b""},
    "another key": {"key": "images/evil"},
    "another type": {"Content-Type": "text/html"},
    "another policy": {"policy": "e30="},
    "a false signature": {"x-amz-signature": "0" * 64},
    "a field more": {"acl": "public-read"},
}


def test_form_takes_what_it_is_for_and_nothing_else(service: Service) -> None:
    target = service.post("/v1/uploads", json={"content_type": "image/png"}).json()
    for what, changed in FALSE.items():
        fields = {**target["fields"], **changed}
        files = {"file": ("a.png", fields.pop("body", PICTURES[3]))}
        refused = requests.post(target["url"], data=fields, files=files, timeout=30)
        assert refused.status_code in {400, 403}, what
        assert service.aws.keys("uploads/", "visionfleet-input") == [], what
    files = {"file": ("a.png", PICTURES[3])}
    assert requests.post(target["url"], data=target["fields"], files=files, timeout=30).ok
    answer = service.post("/v1/jobs", json={"upload": target["upload"]})
    assert answer.status_code == 202, answer.text
    wait_until(lambda: service.label(target["upload"]) == "picture 3", 60, "its answer")
