"""Each daemon's real calls against its policy in the stack: nothing missing, nothing unused.

The daemons run from the user data of the stack's launch templates, through every path that calls
AWS, each with an access key of its own; a proxy keeps who asked for what.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
import requests

from testkit.aws import iam_requests
from testkit.aws.cloudformation_stack import KMS_KEY, cloud_stack
from testkit.aws.deployment import Deployment
from testkit.aws.iam_policies import Call, allowed, unused
from testkit.aws.iam_requests import SignedRequest
from testkit.aws.imds import ImdsServer, imds_server
from testkit.aws.kms_requests import key_calls
from testkit.aws.move_tasks import FakeMoveTasks, move_task_proxy
from testkit.aws.recording_proxy import recording_proxy
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.cli import visionfleet
from testkit.processes.daemons import Process
from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch

ROLES = {
    "WEB": ("WebPolicy", "KeyPolicy"),
    "SCALER": ("ScalerPolicy", "ScalerKeyPolicy"),
    "WORKER": ("WorkerPolicy", "KeyPolicy"),
    "OPERATOR": ("OperatorPolicy", "KeyPolicy"),
}
DEAD = "visionfleet-requests-dead"


@dataclass(frozen=True)
class Recorded:
    """What each role has asked for, and what its policy says."""

    calls: Mapping[str, list[Call]]
    policies: Mapping[str, dict[str, Any]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Run it all once, with all that adds calls: spot, cache, labels by name, a key of KMS."""
    folder = tmp_path_factory.mktemp("roles")
    given = {"Spot": "true", "WorkerMaximum": "2", "WebAuth": "none", "KmsKeyArn": KMS_KEY}
    with cloud_stack(folder, **given) as stack:
        with recording_proxy(stack.aws.endpoint_url) as recorder, ExitStack() as running:
            use_every_path(Deployment(stack, recorder, folder, running))
        calls: dict[str, list[Call]] = {}
        for seen in recorder.seen:
            asked = iam_requests.calls(seen, stack)
            by_signer = calls.setdefault(iam_requests.signer(seen), [])
            by_signer += [*asked, *key_calls(asked, KMS_KEY)]
        return Recorded(calls, {who: stack.policy(*names) for who, names in ROLES.items()})


def use_every_path(deployment: Deployment) -> None:
    """Go down every path of the daemons that calls AWS, with a worker that comes and goes."""
    leave_a_dead_reply_queue(deployment)
    scaler = start_scaler_and_web(deployment)
    first = deployment.post("/v1/jobs", 0)
    (instance,) = wait_until(lambda: deployment.instances("running"), 30, scaler.tail)
    with imds_server() as service:
        service.documents["/latest/meta-data/instance-id"] = instance.encode()
        worker = start_worker(deployment, service)
        assert deployment.answered(first)["label"] == "label-0"
        ask_in_every_way(deployment)
        fail_once(deployment)
        dead_letter_a_message(deployment)
        wait_until(lambda: "drained" in worker.output(), 60, worker.tail)
        wait_until(lambda: not deployment.instances("pending", "running"), 30, scaler.tail)
        assert worker.stop(30)[0] == 0
        hand_back_anew(deployment, service)
    wait_until(lambda: "removed" in scaler.output(), 30, scaler.tail)
    do_operator_tasks(deployment)
    for process in deployment.logs.values():
        if process.running:
            assert process.stop(30)[0] == 0, process.tail()


def leave_a_dead_reply_queue(deployment: Deployment) -> None:
    tags = {"visionfleet": "replies", "heartbeat": "1"}
    deployment.stack.aws.sqs.create_queue(QueueName="visionfleet-replies-gone-1", tags=tags)


def start_scaler_and_web(deployment: Deployment) -> Process:
    port = free_port()
    deployment.url = f"http://127.0.0.1:{port}"
    scaler = deployment.start("SCALER", "scaler", {})
    web = deployment.start(
        "WEB", "web", {"web": {"port": port, "address": "127.0.0.1", "cache": True}}
    )
    scaler.wait_for_output("scaler: ready", 30)
    web.wait_for_output("web: ready", 30)
    return scaler


def start_worker(deployment: Deployment, service: ImdsServer) -> Process:
    """Start the machine that EC2 would have booted, with a model that lies in S3."""
    pictures = [numbered(i) for i in range(8)]
    model = table_model(deployment.folder, pictures, [f"label-{i}" for i in range(8)])
    s3, bucket = deployment.stack.aws.s3, deployment.stack.outputs["OutputBucket"]
    for name in ("table.pt", "table.txt"):
        body = (deployment.folder / name).read_bytes()
        s3.put_object(Bucket=bucket, Key=f"models/{name}", Body=body)
    model["VISIONFLEET_MODEL__PATH"] = f"s3://{bucket}/models/table.pt"
    model["VISIONFLEET_MODEL__LABELS"] = f"s3://{bucket}/models/table.txt"
    sha = hashlib.sha256((deployment.folder / "table.pt").read_bytes()).hexdigest()
    model["VISIONFLEET_MODEL__SHA256"] = f"'{sha}'"
    model["CACHE_DIRECTORY"] = model["RUNTIME_DIRECTORY"] = str(deployment.folder)
    model["AWS_MAX_ATTEMPTS"] = "1"  # what S3 refuses once goes back to the queue
    model["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = service.url
    worker = deployment.start("WORKER", "classifier", {"model": {"threads": 1}}, **model)
    worker.wait_for_output("classifier: ready", 90)
    return worker


def ask_in_every_way(deployment: Deployment) -> None:
    assert deployment.post("/", 1).text == "label-1"
    assert deployment.post("/v1/classify?wait=30", 2).json()["label"] == "label-2"
    wait_until(lambda: deployment.get("/v1/fleet").json()["workers"], 20, "a report of the worker")
    wait_until(
        lambda: deployment.post("/v1/classify?wait=30", 2).json()["attempts"] == 0, 20, "cache"
    )
    key = {"Idempotency-Key": "order-1"}
    answers = [
        deployment.post("/v1/classify?wait=30", 3, headers=key).json()["job"] for _ in range(2)
    ]
    assert answers[0] == answers[1]
    upload(deployment)
    assert deployment.get("/v1/jobs/00000000000000000000000000").status_code == 404
    label = requests.put(
        f"{deployment.url}/v1/jobs/{answers[0]}/label", json={"label": "mine"}, timeout=30
    )
    assert label.json()["image_kept"], label.text
    assert deployment.get(f"/v1/jobs/{answers[0]}").json()["corrected"] == "mine"
    assert deployment.get("/readyz").status_code == 200
    assert deployment.get("/v1/model").json()["labels"][0] == "label-0"


def upload(deployment: Deployment) -> None:
    """Put a file into S3 as a client does, and have it started."""
    place = requests.post(deployment.url + "/v1/uploads", timeout=30).json()
    file = {"file": ("big.png", encoded(numbered(4)))}
    put = requests.post(place["url"], data=place["fields"], files=file, timeout=30)
    assert put.status_code in {200, 204}, put.text
    started = {"upload": place["upload"], "file_name": "4.png"}
    answer = requests.post(deployment.url + "/v1/jobs", json=started, timeout=30)
    assert deployment.answered(answer)["label"] == "label-4"


def failed(spoilt: list[SignedRequest]) -> bool:
    """Tell whether a call has failed: what fails directly is made again by botocore."""
    return bool(spoilt) and "Botocore" in spoilt[-1].headers["user-agent"]


def fail_once(deployment: Deployment) -> None:
    """Let S3 not take one result, once: the worker holds it until S3 does."""
    spoilt: list[SignedRequest] = []

    def spoil(seen: SignedRequest) -> bool:
        result = seen.method == "PUT" and "/results/" in seen.path
        if failed(spoilt) or not result or iam_requests.signer(seen) != "WORKER":
            return False
        spoilt.append(seen)
        return True

    deployment.recorder.spoil = spoil
    result = deployment.answered(deployment.post("/v1/jobs", 5))
    assert result["attempts"] == 1
    assert spoilt
    receive_again(deployment, result["job"])


def receive_again(deployment: Deployment, job: str) -> None:
    """Send the request of a job that is done: its worker reads the result that was first."""
    aws, before = deployment.stack.aws, len(deployment.recorder.seen)
    request = {"v": 1, "job": job, "key": f"images/{job}", "sent_at": time.time()}
    aws.send("visionfleet-requests", json.dumps(request))

    def read() -> bool:
        seen = deployment.recorder.seen[before:]
        return any(one.method == "GET" and f"results/{job}" in one.path for one in seen)

    wait_until(read, 30, deployment.logs["WORKER"].tail)


def dead_letter_a_message(deployment: Deployment) -> None:
    """Send what no worker can decode: it goes to the dead letters, on the second try."""
    spoilt: list[SignedRequest] = []

    def spoil(seen: SignedRequest) -> bool:
        wanted = seen.headers.get("x-amz-target") == "AmazonSQS.SendMessage"
        if failed(spoilt) or not wanted or DEAD.encode() not in seen.body:
            return False
        spoilt.append(seen)
        return True

    deployment.recorder.spoil = spoil
    deployment.stack.aws.send("visionfleet-requests", "no message")
    wait_until(lambda: deployment.stack.aws.counts(DEAD) == (1, 0), 40, "the dead letter")
    assert spoilt


def hand_back_anew(deployment: Deployment, service: ImdsServer) -> None:
    """Stop a worker that holds a message which would soon be given up."""
    aws, queue = deployment.stack.aws, "visionfleet-requests"
    request = {"v": 1, "job": "held", "key": "images/held", "sent_at": time.time()}
    aws.send(queue, json.dumps(request))
    for _ in range(2):
        given = aws.sqs.receive_message(QueueUrl=aws.queue_url(queue), VisibilityTimeout=0)
        assert len(given["Messages"]) == 1
    spoilt: list[SignedRequest] = []

    def spoil(seen: SignedRequest) -> bool:
        spoilt.extend([seen] if "/images/held" in seen.path else [])
        return "/images/held" in seen.path

    deployment.recorder.spoil = spoil
    worker = start_worker(deployment, service)
    wait_until(lambda: failed(spoilt), 60, worker.tail)
    assert worker.stop(30)[0] == 0
    assert "not sent anew" not in worker.output()
    aws.sqs.purge_queue(QueueUrl=aws.queue_url(queue))


def do_operator_tasks(deployment: Deployment) -> None:
    """Do what the operations manual tells an operator to do."""
    config = deployment.folder / "operator.yaml"
    config.write_text(deployment.stack.outputs["Configuration"])
    me = deployment.environment("OPERATOR")
    job = {"v": 1, "job": "j9", "key": "images/j9", "sent_at": time.time(), "file_name": "9.png"}
    deployment.stack.aws.send(DEAD, json.dumps(job))

    def command(*arguments: str, **over: str) -> str:
        done = visionfleet(*arguments, "--config", str(config), env={**me, **over})
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert json.loads(command("status", "--json"))
    assert "no result" in command("dead", "list")
    assert "image_exists: false" in command("dead", "show", "j9")
    assert "1 moved" in command("dead", "redrive", "--only-decodable")
    taught = ("model", "teach", "--from-corrections", "--config", str(config))
    assert "2 classes at least: there is mine" in visionfleet(*taught, env=me).stderr
    source = "arn:aws:sqs:us-east-1:123456789012:" + DEAD
    # In front of the one that knows move tasks: the operator's calls are to be seen.
    with (
        move_task_proxy(deployment.stack.aws.endpoint_url, FakeMoveTasks(source, 1)) as tasks,
        recording_proxy(tasks.url) as before,
    ):
        before.seen = deployment.recorder.seen
        told = command("dead", "redrive", VISIONFLEET_AWS__ENDPOINT_URL=before.url)
    assert "completed: 1" in told
    s3 = boto3.client(
        "s3",
        endpoint_url=deployment.recorder.url,
        region_name="us-east-1",
        aws_access_key_id="OPERATOR",
        aws_secret_access_key="secret",
    )
    bucket = deployment.stack.outputs["OutputBucket"]
    s3.put_object(Bucket=bucket, Key="fleet/drain/i-0123", Body=str(int(time.time())).encode())


def test_every_aws_request_is_signed_by_a_role(recorded: Recorded) -> None:
    assert set(recorded.calls) == set(ROLES)


@pytest.mark.parametrize("who", ROLES)
def test_every_aws_call_is_allowed_by_its_role(who: str, recorded: Recorded) -> None:
    policy = recorded.policies[who]
    assert [str(call) for call in recorded.calls[who] if not allowed(policy, call)] == []


@pytest.mark.parametrize("who", ROLES)
def test_every_permission_of_a_role_is_needed(who: str, recorded: Recorded) -> None:
    assert unused(recorded.policies[who], recorded.calls[who]) == []
