"""An embedded AWS of its own for a test: a real process, provisioned, with boto3 clients."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.config import Config

from testkit.processes.daemons import started_module
from testkit.processes.ports import accepts, free_port
from testkit.processes.waiting import wait_until

NAME = "visionfleet"
BUCKETS = ("visionfleet-input", "visionfleet-output")
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@dataclass(frozen=True)
class Cloud:
    """The embedded AWS of a test; `environment` points a daemon at it."""

    endpoint_url: str
    s3: Any
    sqs: Any
    reset_path: str = "/moto-api/reset"

    @property
    def environment(self) -> dict[str, str]:
        return {**CREDENTIALS, "VISIONFLEET_AWS__ENDPOINT_URL": self.endpoint_url}

    def behind(self, proxy_url: str) -> "Cloud":
        """The same, as daemons see it through a proxy."""
        return replace(self, endpoint_url=proxy_url)

    def queue_url(self, name: str) -> str:
        return str(self.sqs.get_queue_url(QueueName=name)["QueueUrl"])

    def send_request(self, job: str, image: bytes | None, **fields: object) -> None:
        """Put an image (None: leave it out) and send the request for it."""
        if image is not None:
            self.s3.put_object(Bucket=BUCKETS[0], Key=f"images/{job}", Body=image)
        request = {"v": 1, "job": job, "key": f"images/{job}", "sent_at": 0.0, **fields}
        self.send(f"{NAME}-requests", json.dumps(request))

    def send(self, queue: str, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.queue_url(queue), MessageBody=body)

    def result(self, job: str) -> dict[str, Any] | None:
        """Read a job's result, None while there is none."""
        found = self.object(f"results/{job}.json")
        return None if found is None else json.loads(found)

    def object(self, key: str, bucket: str = BUCKETS[1]) -> bytes | None:
        try:
            return bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except self.s3.exceptions.NoSuchKey:
            return None

    def keys(self, prefix: str, bucket: str = BUCKETS[1]) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def counts(self, queue: str = f"{NAME}-requests") -> tuple[int, int]:
        """Messages that are visible, and in flight."""
        found = self.sqs.get_queue_attributes(
            QueueUrl=self.queue_url(queue), AttributeNames=["All"]
        )["Attributes"]
        return (
            int(found["ApproximateNumberOfMessages"]),
            int(found["ApproximateNumberOfMessagesNotVisible"]),
        )

    def receive(self, queue: str, wait_seconds: int = 0) -> list[dict[str, Any]]:
        """Receive and delete what is there; returns the bodies, decoded."""
        url = self.queue_url(queue)
        answer = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_seconds
        )
        for message in answer.get("Messages", ()):
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in answer.get("Messages", ())]


@contextmanager
def cloud(
    folder: Path,
    attributes: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    module: str = "testkit.aws.embedded_server",
) -> Iterator[Cloud]:
    """Run an embedded AWS; `attributes` go to the queue of requests."""
    port, log = free_port(), folder / "aws.log"
    with started_module(
        module, "--port", str(port), log=log, env=environment, stop_seconds=30
    ) as process:
        process.wait_for_output("embedded AWS at", seconds=60)
        wait_until(lambda: accepts(port), 30, process.tail)
        made = connect(f"http://127.0.0.1:{port}")
        provision(made, attributes or {})
        yield made


def emptied(running_aws: Cloud, attributes: Mapping[str, str] | None = None) -> Cloud:
    """Empty an embedded AWS that runs: it is as one that was just started, a second sooner.

    It is also the fixture `aws` of modules whose tests share one.
    """
    requests.post(running_aws.endpoint_url + running_aws.reset_path, timeout=30).raise_for_status()
    provision(running_aws, attributes or {})
    return running_aws


def connect(endpoint_url: str) -> Cloud:
    """Make clients for an embedded AWS that runs already."""
    options: dict[str, Any] = {
        "endpoint_url": endpoint_url,
        "region_name": "us-east-1",
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "config": Config(max_pool_connections=128, s3={"addressing_style": "path"}),
    }
    return Cloud(endpoint_url, boto3.client("s3", **options), boto3.client("sqs", **options))


def ec2_client(made: Cloud) -> Any:
    """Make a client of EC2 at an embedded AWS."""
    return boto3.client(
        "ec2",
        endpoint_url=made.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def add_template(ec2: Any) -> None:
    """Make the launch template `workers`, of which a scaler's EC2 fleet launches."""
    data = {"ImageId": "ami-12c6146b", "InstanceType": "c7i.large"}
    ec2.create_launch_template(LaunchTemplateName="workers", LaunchTemplateData=data)


def provision(made: Cloud, attributes: Mapping[str, str]) -> None:
    """Make buckets and queues by hand: tests of a daemon do not lean on our own provisioning."""
    for bucket in BUCKETS:
        made.s3.create_bucket(Bucket=bucket)
    dead = made.sqs.create_queue(QueueName=f"{NAME}-requests-dead")["QueueUrl"]
    arn = made.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    redrive = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": 5}
    made.sqs.create_queue(
        QueueName=f"{NAME}-requests",
        Attributes={
            "VisibilityTimeout": "10",
            "RedrivePolicy": json.dumps(redrive),
            **attributes,
        },
    )
