"""Creates buckets and queues before the daemons start. Idempotent."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from visionfleet.aws.errors import wrapped_errors
from visionfleet.aws.queue_attributes import attributes_of
from visionfleet.config.schema import QueueSection
from visionfleet.contract import names
from visionfleet.errors import GiveUp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

REPLY_RETENTION_SECONDS = 3600  # the client has read the result from S3 long before

# SQS's maximum, counted from the first send: time for an operator to inspect and redrive.
DEAD_RETENTION_SECONDS = 1_209_600


def provision_buckets(client: "S3Client", region: str, buckets: set[str]) -> Iterator[str]:
    """Buckets must be listed as ours: another account's bucket may grant us access too."""
    for bucket in sorted(buckets):
        with wrapped_errors(f"bucket {bucket}"):
            # Sorted by name, so it is the first; other implementations list all.
            listed = client.list_buckets(Prefix=bucket, MaxBuckets=10).get("Buckets", ())
            ours = bucket in {each.get("Name") for each in listed}
            if ours and _is_decided(client, bucket):
                yield f"bucket {bucket}: was there"
                continue
            if not ours:
                _make_bucket(client, region, bucket)
            _close_bucket(client, bucket)
        yield f"bucket {bucket}: {'was there, now' if ours else 'made,'} closed to the public"


def provision_queues(client: "SQSClient", deployment: str, settings: QueueSection) -> Iterator[str]:
    requests, dead = names.requests_queue(deployment), names.dead_queue(deployment)
    url = _make_queue(client, dead, {"MessageRetentionPeriod": str(DEAD_RETENTION_SECONDS)})
    yield f"queue {dead}: ready"
    with wrapped_errors(f"queue {dead}"):
        answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn = answer["Attributes"]["QueueArn"]
    _make_queue(client, requests, attributes_of(settings, arn))
    yield f"queue {requests}: ready, {settings.max_receives} tries, then {dead}"


def make_reply_queue(
    client: "SQSClient", name: str, tags: dict[str, str], kms_key: str = ""
) -> None:
    attributes = {"MessageRetentionPeriod": str(REPLY_RETENTION_SECONDS), "VisibilityTimeout": "30"}
    if kms_key:
        attributes["KmsMasterKeyId"] = kms_key
    with wrapped_errors(f"queue {name}"):
        client.create_queue(QueueName=name, Attributes=attributes, tags=tags)  # type: ignore[arg-type]


def renew_reply_queue(client: "SQSClient", url: str, tags: dict[str, str]) -> None:
    """Renew the heartbeat tag of a reply queue; without it the queue counts as abandoned."""
    with wrapped_errors(f"tag queue {url}"):
        client.tag_queue(QueueUrl=url, Tags=tags)


def delete_reply_queue(client: "SQSClient", name: str) -> None:
    with wrapped_errors(f"delete queue {name}"):
        client.delete_queue(QueueUrl=client.get_queue_url(QueueName=name)["QueueUrl"])


def _make_bucket(client: "S3Client", region: str, bucket: str) -> None:
    where: Any = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        # us-east-1 must not be named as a location.
        client.create_bucket(Bucket=bucket, **({} if region == "us-east-1" else where))
    except client.exceptions.BucketAlreadyOwnedByYou:
        pass  # created meanwhile
    except client.exceptions.BucketAlreadyExists as error:
        raise GiveUp(
            f"bucket {bucket}: another account has one of this name, and names are unique in all "
            "of AWS; choose another (storage.input_bucket, storage.output_bucket)"
        ) from error


def _is_decided(client: "S3Client", bucket: str) -> bool:
    """Whether public access is configured already; an earlier run may have been interrupted."""
    try:
        client.get_public_access_block(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"].get("Code") == "NoSuchPublicAccessBlockConfiguration":
            return False
        raise
    return True


def _close_bucket(client: "S3Client", bucket: str) -> None:
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
    """CreateQueue fails if a queue exists with other attributes, so they are set separately."""
    with wrapped_errors(f"queue {name}"):
        try:
            url = client.get_queue_url(QueueName=name)["QueueUrl"]
        except client.exceptions.QueueDoesNotExist:
            url = client.create_queue(QueueName=name)["QueueUrl"]
        client.set_queue_attributes(QueueUrl=url, Attributes=attributes)  # type: ignore[arg-type]
    return url
