"""Provisioning against the embedded AWS: complete, idempotent, and able to change settings."""

import json
from typing import Any

import pytest
import requests

from testkit.aws.embedded import Cloud
from visionfleet.aws.provisioning import (
    delete_reply_queue,
    make_reply_queue,
    provision_buckets,
    provision_queues,
)
from visionfleet.config.schema import QueueSection
from visionfleet.errors import NotFound

SETTINGS = QueueSection(visibility_timeout_seconds=45, max_receives=3, retention_seconds=3600)
REQUESTS, DEAD = "vf-requests", "vf-requests-dead"


@pytest.fixture
def aws(running_aws: Cloud) -> Cloud:
    """An AWS without a bucket or queue."""
    url = running_aws.endpoint_url + running_aws.reset_path
    requests.post(url, timeout=30).raise_for_status()
    return running_aws


def attributes(aws: Cloud, queue: str) -> dict[str, Any]:
    found = aws.sqs.get_queue_attributes(QueueUrl=aws.queue_url(queue), AttributeNames=["All"])
    return dict(found["Attributes"])


def settings(aws: Cloud) -> list[dict[str, Any]]:
    """All that provisioning sets, without what the service counts by itself."""
    kept = ("VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy", "CreatedTimestamp")
    found = [attributes(aws, REQUESTS), attributes(aws, DEAD)]
    return [{name: one.get(name) for name in kept} for one in found]


def test_provisioned_queues_have_their_attributes(aws: Cloud) -> None:
    lines = list(provision_queues(aws.sqs, "vf", SETTINGS))
    assert lines == [
        "queue vf-requests-dead: ready",
        "queue vf-requests: ready, 3 tries, then vf-requests-dead",
    ]
    requests, dead = attributes(aws, REQUESTS), attributes(aws, DEAD)
    assert requests["VisibilityTimeout"] == "45"
    assert requests["MessageRetentionPeriod"] == "3600"
    redrive = json.loads(requests["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == dead["QueueArn"]
    assert int(redrive["maxReceiveCount"]) == 3
    assert dead["MessageRetentionPeriod"] == "1209600"


def test_provisioning_twice_changes_nothing(aws: Cloud) -> None:
    list(provision_queues(aws.sqs, "vf", SETTINGS))
    before = settings(aws)
    aws.send(REQUESTS, "kept")
    list(provision_queues(aws.sqs, "vf", SETTINGS))
    assert settings(aws) == before
    assert aws.counts(REQUESTS) == (1, 0)


def test_provisioning_updates_an_existing_queue(aws: Cloud) -> None:
    list(provision_queues(aws.sqs, "vf", SETTINGS))
    aws.send(REQUESTS, "kept")
    changed = QueueSection(visibility_timeout_seconds=90, max_receives=7, retention_seconds=600)
    dead = {"QueueUrl": aws.queue_url(DEAD), "Attributes": {"MessageRetentionPeriod": "600"}}
    aws.sqs.set_queue_attributes(**dead)
    list(provision_queues(aws.sqs, "vf", changed))
    found = attributes(aws, REQUESTS)
    assert (found["VisibilityTimeout"], found["MessageRetentionPeriod"]) == ("90", "600")
    assert int(json.loads(found["RedrivePolicy"])["maxReceiveCount"]) == 7
    assert attributes(aws, DEAD)["MessageRetentionPeriod"] == "1209600"
    assert aws.counts(REQUESTS) == (1, 0)


def test_provisioning_adopts_a_queue_made_by_hand(aws: Cloud) -> None:
    aws.sqs.create_queue(QueueName=REQUESTS, Attributes={"VisibilityTimeout": "1"})
    list(provision_queues(aws.sqs, "vf", SETTINGS))
    assert attributes(aws, REQUESTS)["VisibilityTimeout"] == "45"
    assert "RedrivePolicy" in attributes(aws, REQUESTS)


def test_bucket_that_was_left_half_made_is_finished(aws: Cloud) -> None:
    aws.s3.create_bucket(Bucket="vf-a")
    lines = [list(provision_buckets(aws.s3, "us-east-1", {"vf-a"})) for _ in range(2)]
    assert lines == [
        ["bucket vf-a: was there, now closed to the public"],
        ["bucket vf-a: was there"],
    ]
    block = aws.s3.get_public_access_block(Bucket="vf-a")["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}


def test_bucket_that_was_opened_on_purpose_is_left_open(aws: Cloud) -> None:
    aws.s3.create_bucket(Bucket="vf-a")
    opened = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": False}
    opened["RestrictPublicBuckets"] = False
    aws.s3.put_public_access_block(Bucket="vf-a", PublicAccessBlockConfiguration=opened)
    assert list(provision_buckets(aws.s3, "us-east-1", {"vf-a"})) == ["bucket vf-a: was there"]
    block = aws.s3.get_public_access_block(Bucket="vf-a")["PublicAccessBlockConfiguration"]
    assert block == opened


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_buckets_are_created_once_and_closed_to_the_public(aws: Cloud, region: str) -> None:
    first = list(provision_buckets(aws.s3, region, {"vf-b", "vf-a"}))
    assert first == [
        "bucket vf-a: made, closed to the public",
        "bucket vf-b: made, closed to the public",
    ]
    aws.s3.put_object(Bucket="vf-a", Key="kept", Body=b"x")
    again = list(provision_buckets(aws.s3, region, {"vf-b", "vf-a"}))
    assert again == ["bucket vf-a: was there", "bucket vf-b: was there"]
    assert aws.object("kept", "vf-a") == b"x"
    block = aws.s3.get_public_access_block(Bucket="vf-a")["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    place = aws.s3.get_bucket_location(Bucket="vf-a")["LocationConstraint"]
    assert (place or "us-east-1") == region
    aws.s3.delete_object(Bucket="vf-a", Key="kept")


def test_reply_queue_is_tagged_and_deleted(aws: Cloud) -> None:
    make_reply_queue(aws.sqs, "vf-replies-host-1", {"heartbeat": "1"})
    make_reply_queue(aws.sqs, "vf-replies-host-1", {"heartbeat": "1"})
    tags = aws.sqs.list_queue_tags(QueueUrl=aws.queue_url("vf-replies-host-1"))["Tags"]
    assert tags == {"heartbeat": "1"}
    delete_reply_queue(aws.sqs, "vf-replies-host-1")
    with pytest.raises(NotFound):
        delete_reply_queue(aws.sqs, "vf-replies-host-1")
