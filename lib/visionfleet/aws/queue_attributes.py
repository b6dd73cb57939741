"""Attributes of the queue of requests: those that settings need, and what differs. No I/O here."""

import json
from collections.abc import Iterator, Mapping

from visionfleet.config.schema import QueueSection
from visionfleet.contract import names

# Attributes that no receive or send can override.
COMPARED = ("RedrivePolicy", "MessageRetentionPeriod", "DelaySeconds")


def attributes_of(settings: QueueSection, dead_arn: str) -> dict[str, str]:
    redrive = {"deadLetterTargetArn": dead_arn, "maxReceiveCount": settings.max_receives}
    return {
        "MessageRetentionPeriod": str(settings.retention_seconds),
        "VisibilityTimeout": str(settings.visibility_timeout_seconds),
        "DelaySeconds": "0",
        "RedrivePolicy": json.dumps(redrive),
    }


def differences(found: Mapping[str, str], settings: QueueSection, deployment: str) -> Iterator[str]:
    """What is wrong with a queue that has these attributes, one sentence each."""
    yield from _of_redrive(found.get("RedrivePolicy"), settings, names.dead_queue(deployment))
    retention_seconds = int(found.get("MessageRetentionPeriod", settings.retention_seconds))
    if retention_seconds != settings.retention_seconds:
        yield (
            f"MessageRetentionPeriod is {retention_seconds}, queue.retention_seconds "
            f"{settings.retention_seconds}: expired requests are not recognized as such"
        )
    if (delay := found.get("DelaySeconds", "0")) != "0":
        yield f"DelaySeconds is {delay}: each image waits so long, unseen by the scaler"


def _of_redrive(policy: str | None, settings: QueueSection, dead: str) -> Iterator[str]:
    if not policy:
        yield f"it has no RedrivePolicy: no request ever becomes a dead letter in {dead}"
        return
    redrive = json.loads(policy)
    target = str(redrive.get("deadLetterTargetArn", "")).rpartition(":")[2]
    if target != dead:
        yield f"its dead letters go to {target}, not to {dead}: no command shows them"
    receives = int(redrive.get("maxReceiveCount", 0))
    if receives < settings.max_receives:
        yield (
            f"maxReceiveCount is {receives}, queue.max_receives {settings.max_receives}: "
            "requests become dead letters before a worker fails their jobs"
        )
