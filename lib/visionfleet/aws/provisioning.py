"""Makes what must exist before the daemons start: buckets, queues, dead letters. Idempotent."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from visionfleet.aws import wrapped_errors
from visionfleet.errors import NotFound

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

REPLY_RETENTION_SECONDS = 3600  # a reply that old has been read from S3 long since

# SQS's maximum, counted from the first sending: time for a person to look at it and redrive it.
DEAD_RETENTION_SECONDS = 1_209_600


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """The queues of a deployment and their attributes."""

    requests: str
    dead: str
    visibility_timeout_seconds: int
    max_receives: int
    retention_seconds: int


def provision_buckets(client: "S3Client", region: str, buckets: set[str]) -> Iterator[str]:
    """Make the buckets that are missing; yields one sentence per bucket."""
    for bucket in sorted(buckets):
        try:
            with wrapped_errors(f"bucket {bucket}"):
                client.head_bucket(Bucket=bucket)
            yield f"bucket {bucket}: was there"
        except NotFound:
            _make_bucket(client, region, bucket)
            yield f"bucket {bucket}: made, closed to the public"


def provision_queues(client: "SQSClient", plan: QueuePlan) -> Iterator[str]:
    """Make the queues and set their attributes, also on queues that exist already."""
    dead = {"MessageRetentionPeriod": str(DEAD_RETENTION_SECONDS)}
    url = _make_queue(client, plan.dead, dead)
    yield f"queue {plan.dead}: ready"
    with wrapped_errors(f"queue {plan.dead}"):
        answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    redrive = {
        "deadLetterTargetArn": answer["Attributes"]["QueueArn"],
        "maxReceiveCount": plan.max_receives,
    }
    attributes = {
        "MessageRetentionPeriod": str(plan.retention_seconds),
        "VisibilityTimeout": str(plan.visibility_timeout_seconds),
        "RedrivePolicy": json.dumps(redrive),
    }
    _make_queue(client, plan.requests, attributes)
    yield f"queue {plan.requests}: ready, {plan.max_receives} tries, then {plan.dead}"


def make_reply_queue(client: "SQSClient", name: str, tags: dict[str, str]) -> None:
    """Make the reply queue of a web process; its tags tell when it was last used."""
    attributes = {"MessageRetentionPeriod": str(REPLY_RETENTION_SECONDS), "VisibilityTimeout": "30"}
    with wrapped_errors(f"queue {name}"):
        client.create_queue(QueueName=name, Attributes=attributes, tags=tags)  # type: ignore[arg-type]


def renew_reply_queue(client: "SQSClient", url: str, tags: dict[str, str]) -> None:
    """Set the tags of a reply queue anew: a queue without a fresh heartbeat is nobody's."""
    with wrapped_errors(f"tag queue {url}"):
        client.tag_queue(QueueUrl=url, Tags=tags)


def delete_reply_queue(client: "SQSClient", name: str) -> None:
    """Remove the reply queue of a web process that stops."""
    with wrapped_errors(f"delete queue {name}"):
        client.delete_queue(QueueUrl=client.get_queue_url(QueueName=name)["QueueUrl"])


def _make_bucket(client: "S3Client", region: str, bucket: str) -> None:
    with wrapped_errors(f"make bucket {bucket}"):
        if region == "us-east-1":  # the one region that must not be named
            client.create_bucket(Bucket=bucket)
        else:
            client.create_bucket(
                Bucket=bucket,
                CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
            )
        client.put_public_access_block(
            Bucket=bucket,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": True,
                "RestrictPublicBuckets": True,
            },
        )


def _make_queue(client: "SQSClient", name: str, attributes: dict[str, str]) -> str:
    """CreateQueue refuses a queue that exists with other attributes, so they are set apart."""
    with wrapped_errors(f"queue {name}"):
        try:
            url = client.get_queue_url(QueueName=name)["QueueUrl"]
        except client.exceptions.QueueDoesNotExist:
            url = client.create_queue(QueueName=name)["QueueUrl"]
        client.set_queue_attributes(QueueUrl=url, Attributes=attributes)  # type: ignore[arg-type]
    return url
