"""The SQS edge: one queue, long polling, batches of ten, and boto's errors turned into ours."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from visionfleet.aws import entry_error, wrapped_errors
from visionfleet.errors import NotFound, VisionfleetError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

BATCH = 10  # entries that SQS takes in one call


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery of a message. `receive_count` is 1 the first time."""

    message_id: str
    body: str
    receipt: str
    receive_count: int


@dataclass(frozen=True, slots=True)
class DeadLetterMessage:
    """One delivery with all that SQS tells of it; times are Unix seconds."""

    message: Received
    sent_at: float
    first_received_at: float
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Counts:
    """What SQS says of a queue's size: approximate, and up to a minute old."""

    visible: int
    in_flight: int


class Queue:
    """One queue.

    `parked` is a client of its own for receiving: its read timeout is that of a long poll.
    Permissions: sqs:GetQueueUrl, sqs:GetQueueAttributes, and of sqs:SendMessage,
    sqs:ReceiveMessage, sqs:ChangeMessageVisibility, sqs:DeleteMessage those that are used.
    """

    def __init__(self, client: "SQSClient", name: str, parked: "SQSClient | None" = None) -> None:
        self._client = client
        self._parked = parked or client
        self.name = name
        with wrapped_errors(f"queue {name}"):
            self.url = client.get_queue_url(QueueName=name)["QueueUrl"]

    def send(self, body: str) -> None:
        """Send one message of at most 1 MiB."""
        send_to(self._client, self.url, body)

    def arn(self) -> str:
        """Ask for the queue's ARN, which calls about two queues want."""
        with wrapped_errors(f"ARN of {self.name}"):
            found = self._client.get_queue_attributes(
                QueueUrl=self.url, AttributeNames=["QueueArn"]
            )
        return found["Attributes"]["QueueArn"]

    def inspect(
        self, wait_seconds: int, hold_seconds: int, most: int = BATCH
    ) -> list[DeadLetterMessage]:
        """Receive with all attributes and hold for `hold_seconds`; a look counts as a receive."""
        with wrapped_errors(f"receive from {self.name}"):
            answer = self._parked.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=min(most, BATCH),
                WaitTimeSeconds=wait_seconds,
                VisibilityTimeout=hold_seconds,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        return [_letter(message) for message in answer.get("Messages", ())]

    def receive(self, wait_seconds: int, most: int = BATCH) -> list[Received]:
        """Receive up to `most` (at most ten), waiting up to `wait_seconds` (at most 20)."""
        with wrapped_errors(f"receive from {self.name}"):
            answer = self._parked.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=min(most, BATCH),
                WaitTimeSeconds=wait_seconds,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
        return [_received(message) for message in answer.get("Messages", ())]

    def extend(self, receipts: Sequence[str], seconds: int) -> dict[str, VisionfleetError]:
        """Hold messages invisible for `seconds` from now; 0 hands them back.

        Returns the receipts that failed: LeaseLost where the message is no longer ours.
        """
        failed: dict[str, VisionfleetError] = {}
        for some in _tens(receipts):
            entries = [
                {"Id": str(i), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
                for i, receipt in enumerate(some)
            ]
            doing = f"extend in {self.name}"
            with wrapped_errors(doing):
                answer = self._client.change_message_visibility_batch(
                    QueueUrl=self.url,
                    Entries=entries,  # type: ignore[arg-type]
                )
            failed |= _failures(answer.get("Failed", ()), some, doing)
        return failed

    def delete(self, receipts: Sequence[str]) -> dict[str, VisionfleetError]:
        """Delete messages; returns the receipts that failed, with the reason."""
        failed: dict[str, VisionfleetError] = {}
        for some in _tens(receipts):
            entries = [{"Id": str(i), "ReceiptHandle": receipt} for i, receipt in enumerate(some)]
            doing = f"delete from {self.name}"
            with wrapped_errors(doing):
                answer = self._client.delete_message_batch(
                    QueueUrl=self.url,
                    Entries=entries,  # type: ignore[arg-type]
                )
            failed |= _failures(answer.get("Failed", ()), some, doing)
        return failed

    def counts(self) -> Counts:
        """Ask for the approximate number of visible and of in-flight messages."""
        with wrapped_errors(f"counts of {self.name}"):
            found = self._client.get_queue_attributes(
                QueueUrl=self.url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )["Attributes"]
        return Counts(
            int(found["ApproximateNumberOfMessages"]),
            int(found["ApproximateNumberOfMessagesNotVisible"]),
        )


class Outbox:
    """Sends to queues by name, remembering their addresses: for replies to many web processes."""

    def __init__(self, client: "SQSClient") -> None:
        self._client = client
        self._urls: dict[str, str] = {}

    def send(self, queue: str, body: str, attributes: Mapping[str, str] | None = None) -> None:
        """Send one message; raises NotFound when the queue is gone."""
        try:
            send_to(self._client, self._url(queue), body, attributes)
        except NotFound:
            self._urls.pop(queue, None)
            raise

    def send_all(self, queue: str, bodies: Sequence[str]) -> dict[str, VisionfleetError]:
        """Send up to ten messages in one call; returns the bodies that failed, with the reason.

        Raises NotFound when the queue is gone.
        """
        entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)]
        doing = f"send to {queue}"
        try:
            with wrapped_errors(doing):
                answer = self._client.send_message_batch(
                    QueueUrl=self._url(queue),
                    Entries=entries,  # type: ignore[arg-type]
                )
        except NotFound:
            self._urls.pop(queue, None)
            raise
        return _failures(answer.get("Failed", ()), bodies, doing)

    def _url(self, queue: str) -> str:
        if queue not in self._urls:
            with wrapped_errors(f"queue {queue}"):
                self._urls[queue] = self._client.get_queue_url(QueueName=queue)["QueueUrl"]
        return self._urls[queue]


def send_to(
    client: "SQSClient", url: str, body: str, attributes: Mapping[str, str] | None = None
) -> None:
    """Send one message to a queue's address; `attributes` are texts that are not empty."""
    carried: dict[str, MessageAttributeValueTypeDef] = {
        name: {"DataType": "String", "StringValue": text}
        for name, text in (attributes or {}).items()
    }
    with wrapped_errors("send"):
        client.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=carried)


def _letter(message: Mapping[str, Any]) -> DeadLetterMessage:
    told = message["Attributes"]
    return DeadLetterMessage(
        message=_received(message),
        sent_at=int(told["SentTimestamp"]) / 1000,
        first_received_at=int(told["ApproximateFirstReceiveTimestamp"]) / 1000,
        attributes={
            name: value.get("StringValue", "")
            for name, value in message.get("MessageAttributes", {}).items()
        },
    )


def _received(message: Mapping[str, Any]) -> Received:
    return Received(
        message_id=message["MessageId"],
        body=message["Body"],
        receipt=message["ReceiptHandle"],
        receive_count=int(message["Attributes"]["ApproximateReceiveCount"]),
    )


def _tens(receipts: Sequence[str]) -> Iterable[Sequence[str]]:
    return (receipts[i : i + BATCH] for i in range(0, len(receipts), BATCH))


def _failures(
    entries: Iterable[Mapping[str, Any]], receipts: Sequence[str], doing: str
) -> dict[str, VisionfleetError]:
    return {
        receipts[int(entry["Id"])]: entry_error(entry["Code"], entry["SenderFault"], doing)
        for entry in entries
    }


class ReplyQueues:
    """The queues whose names begin with `prefix`.

    Permissions: sqs:ListQueues, and on `{prefix}*` sqs:ListQueueTags and sqs:DeleteQueue.
    """

    def __init__(self, client: "SQSClient", prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def urls(self) -> list[str]:
        """List their addresses, all pages of them."""
        with wrapped_errors(f"list queues {self._prefix}*"):
            pages = self._client.get_paginator("list_queues").paginate(
                QueueNamePrefix=self._prefix, PaginationConfig={"PageSize": 1000}
            )
            found = [url for page in pages for url in page.get("QueueUrls", ())]
        return [url for url in found if queue_name(url).startswith(self._prefix)]

    def tags(self, url: str) -> Mapping[str, str]:
        """Read the tags of one; none when it is gone."""
        try:
            with wrapped_errors(f"tags of {queue_name(url)}"):
                return self._client.list_queue_tags(QueueUrl=url).get("Tags", {})
        except NotFound:
            return {}

    def remove(self, url: str) -> None:
        """Remove one; one that is gone is fine."""
        try:
            with wrapped_errors(f"delete queue {queue_name(url)}"):
                self._client.delete_queue(QueueUrl=url)
        except NotFound:
            return


def queue_name(url: str) -> str:
    """Cut the name off the end of a queue's address."""
    return url.rsplit("/", 1)[-1]
