"""Attributes of the queue of requests that do not fit the settings."""

import json

import pytest

from visionfleet.aws.queue_attributes import attributes_of, differences
from visionfleet.config.schema import QueueSection

SETTINGS = QueueSection()
ARN = "arn:aws:sqs:us-east-1:123456789012:vf-requests-dead"


def redrive(arn: str = ARN, receives: object = 5) -> str:
    return json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": receives})


def test_queue_as_it_is_provisioned_has_no_difference() -> None:
    assert list(differences(attributes_of(SETTINGS, ARN), SETTINGS, "vf")) == []


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("RedrivePolicy", "", "it has no RedrivePolicy"),
        ("RedrivePolicy", redrive("arn:aws:sqs:us-east-1:1:other"), "go to other, not to vf-"),
        ("RedrivePolicy", redrive(receives=4), "maxReceiveCount is 4, queue.max_receives 5"),
        ("RedrivePolicy", redrive(receives="3"), "maxReceiveCount is 3"),
        ("MessageRetentionPeriod", "3600", "MessageRetentionPeriod is 3600, queue.retention"),
        ("MessageRetentionPeriod", "1209600", "MessageRetentionPeriod is 1209600"),
        ("DelaySeconds", "15", "DelaySeconds is 15"),
    ],
)
def test_difference_is_told_with_what_follows(attribute: str, value: str, said: str) -> None:
    found = attributes_of(SETTINGS, ARN) | {attribute: value}
    (sentence,) = differences(found, SETTINGS, "vf")
    assert said in sentence


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("RedrivePolicy", redrive(receives=1000)), ("VisibilityTimeout", "1")],
)
def test_harmless_difference_is_not_told(attribute: str, value: str) -> None:
    found = attributes_of(SETTINGS, ARN) | {attribute: value}
    assert list(differences(found, SETTINGS, "vf")) == []
