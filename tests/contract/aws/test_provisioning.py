"""Provisioning against the embedded AWS: complete, idempotent, and able to change its mind."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from testkit.aws.embedded import Cloud, connect
from testkit.processes.daemons import started_module
from testkit.processes.ports import accepts, free_port
from testkit.processes.waiting import wait_until
from visionfleet.aws.provisioning import (
    QueuePlan,
    delete_reply_queue,
    make_reply_queue,
    provision_buckets,
    provision_queues,
)
from visionfleet.errors import NotFound

PLAN = QueuePlan(
    requests="vf-requests",
    dead="vf-requests-dead",
    visibility_timeout_seconds=45,
    max_receives=3,
    retention_seconds=3600,
)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    log = tmp_path_factory.mktemp("aws") / "aws.log"
    module = "visionfleet.local.embedded_aws"
    with started_module(module, "--port", str(port), log=log) as process:
        process.wait_for_output("embedded AWS at", seconds=60)
        wait_until(lambda: accepts(port), 10, process.tail)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def aws(endpoint: str) -> Cloud:
    """Clients for an AWS without a bucket or queue."""
    made = connect(endpoint)
    for url in made.sqs.list_queues().get("QueueUrls", ()):
        made.sqs.delete_queue(QueueUrl=url)
    for bucket in made.s3.list_buckets()["Buckets"]:
        made.s3.delete_bucket(Bucket=bucket["Name"])
    return made


def attributes(aws: Cloud, queue: str) -> dict[str, Any]:
    found = aws.sqs.get_queue_attributes(QueueUrl=aws.queue_url(queue), AttributeNames=["All"])
    return dict(found["Attributes"])


def settings(aws: Cloud) -> list[dict[str, Any]]:
    """All that provisioning sets, without what the service counts by itself."""
    kept = ("VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy", "CreatedTimestamp")
    found = [attributes(aws, PLAN.requests), attributes(aws, PLAN.dead)]
    return [{name: one.get(name) for name in kept} for one in found]


def test_queues_get_their_attributes(aws: Cloud) -> None:
    lines = list(provision_queues(aws.sqs, PLAN))
    assert lines == [
        "queue vf-requests-dead: ready",
        "queue vf-requests: ready, 3 tries, then vf-requests-dead",
    ]
    requests, dead = attributes(aws, PLAN.requests), attributes(aws, PLAN.dead)
    assert requests["VisibilityTimeout"] == "45"
    assert requests["MessageRetentionPeriod"] == "3600"
    redrive = json.loads(requests["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == dead["QueueArn"]
    assert int(redrive["maxReceiveCount"]) == 3
    assert dead["MessageRetentionPeriod"] == "1209600"


def test_a_second_run_changes_nothing(aws: Cloud) -> None:
    list(provision_queues(aws.sqs, PLAN))
    before = settings(aws)
    aws.send(PLAN.requests, "kept")
    list(provision_queues(aws.sqs, PLAN))
    assert settings(aws) == before
    assert aws.counts(PLAN.requests) == (1, 0)


def test_a_changed_attribute_is_applied_to_the_queue_that_is_there(aws: Cloud) -> None:
    list(provision_queues(aws.sqs, PLAN))
    aws.send(PLAN.requests, "kept")
    changed = QueuePlan(PLAN.requests, PLAN.dead, 90, 7, 600)
    dead = {"QueueUrl": aws.queue_url(PLAN.dead), "Attributes": {"MessageRetentionPeriod": "600"}}
    aws.sqs.set_queue_attributes(**dead)
    list(provision_queues(aws.sqs, changed))
    found = attributes(aws, PLAN.requests)
    assert (found["VisibilityTimeout"], found["MessageRetentionPeriod"]) == ("90", "600")
    assert int(json.loads(found["RedrivePolicy"])["maxReceiveCount"]) == 7
    assert attributes(aws, PLAN.dead)["MessageRetentionPeriod"] == "1209600"
    assert aws.counts(PLAN.requests) == (1, 0)


def test_a_queue_made_by_hand_is_taken_over(aws: Cloud) -> None:
    aws.sqs.create_queue(QueueName=PLAN.requests, Attributes={"VisibilityTimeout": "1"})
    list(provision_queues(aws.sqs, PLAN))
    assert attributes(aws, PLAN.requests)["VisibilityTimeout"] == "45"
    assert "RedrivePolicy" in attributes(aws, PLAN.requests)


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_buckets_are_made_once_and_closed(aws: Cloud, region: str) -> None:
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


def test_a_reply_queue_has_its_tags_and_goes(aws: Cloud) -> None:
    make_reply_queue(aws.sqs, "vf-replies-host-1", {"heartbeat": "1"})
    make_reply_queue(aws.sqs, "vf-replies-host-1", {"heartbeat": "1"})
    tags = aws.sqs.list_queue_tags(QueueUrl=aws.queue_url("vf-replies-host-1"))["Tags"]
    assert tags == {"heartbeat": "1"}
    delete_reply_queue(aws.sqs, "vf-replies-host-1")
    with pytest.raises(NotFound):
        delete_reply_queue(aws.sqs, "vf-replies-host-1")
