"""What SQS may do with messages and batches: faults that an answer alone does not show."""

import http.client
import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from testkit.aws.faults import split_at_random

Answer = tuple[int, bytes]
Send = Callable[[str, Mapping[str, Any]], Answer]  # an operation and its arguments


def received_twice(sent: Send, asked: Mapping[str, Any], answer: bytes, random: Random) -> bool:
    """Make one of the messages that were received visible, so that it comes again at once."""
    messages = _messages(answer)
    if not messages:
        return False
    receipt = random.choice(messages)["ReceiptHandle"]
    whose = {"QueueUrl": asked["QueueUrl"], "ReceiptHandle": receipt, "VisibilityTimeout": 0}
    return sent("ChangeMessageVisibility", whose)[0] == http.client.OK


class Remembered:
    """Bodies that were received from each queue: they may come again after their end."""

    def __init__(self) -> None:
        self._bodies: dict[str, list[str]] = {}

    def note(self, asked: Mapping[str, Any], answer: bytes) -> None:
        bodies = self._bodies.setdefault(asked["QueueUrl"], [])
        bodies += [message["Body"] for message in _messages(answer)]

    def send_again(self, sent: Send, asked: Mapping[str, Any], random: Random) -> bool:
        """Send one of an earlier time."""
        bodies = self._bodies.get(asked["QueueUrl"])
        if not bodies:
            return False
        again = {"QueueUrl": asked["QueueUrl"], "MessageBody": random.choice(bodies)}
        return sent("SendMessage", again)[0] == http.client.OK


def not_deleted(asked: Mapping[str, Any]) -> bytes:
    """Answer a delete that is not done as if it were."""
    if "Entries" not in asked:
        return b"{}"
    done = [{"Id": entry["Id"]} for entry in asked["Entries"]]
    return json.dumps({"Successful": done, "Failed": []}).encode()


def half_failed(sent: Send, operation: str, asked: Mapping[str, Any], random: Random) -> bytes:
    """Tell of some entries that they failed; of these, half are done all the same."""
    entries = list(asked["Entries"])
    failed = split_at_random([entry["Id"] for entry in entries], random)
    left_out = {each for each in failed if random.random() < 0.5}
    left = [entry for entry in entries if entry["Id"] not in left_out]
    told: dict[str, Any] = {}
    if left:
        told = json.loads(sent(operation, {**asked, "Entries": left})[1])
    fault = {"SenderFault": False, "Code": "InternalError", "Message": "injected"}
    told["Successful"] = [one for one in told.get("Successful", ()) if one["Id"] not in failed]
    others = [one for one in told.get("Failed", ()) if one["Id"] not in failed]
    told["Failed"] = others + [{"Id": each, **fault} for each in sorted(failed)]
    return json.dumps(told).encode()


def _messages(answer: bytes) -> list[dict[str, Any]]:
    return list(json.loads(answer or b"{}").get("Messages", ()))
