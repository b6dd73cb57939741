"""The SQS edge: one queue, long polling, batches of ten, and wrapped errors."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from visionfleet.aws.errors import entry_error, wrapped_errors
from visionfleet.errors import GiveUp, LeaseLost, NotFound, TryLater, Unfit, VisionfleetError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

_T = TypeVar("_T")

BATCH = 10  # entries that SQS takes in one call
# Bytes of one call of several messages: all that SQS took until 2025, and some queues still do.
# More calls cost no more, for SQS bills each 64 KiB as a request.
BATCH_BYTES = 256 << 10

SendAll = Callable[[Sequence[str]], Mapping[str, VisionfleetError]]


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery of a message. `receive_count` starts at 1."""

    message_id: str
    body: str
    receipt: str
    receive_count: int


@dataclass(frozen=True, slots=True)
class DeadLetterMessage:
    """One delivery with all attributes; times are Unix seconds."""

    message: Received
    sent_at: float
    first_received_at: float
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Counts:
    """The queue's approximate counts, up to a minute old."""

    visible: int
    in_flight: int


class Queue:
    """`receiver` is a separate client for receiving, with a read timeout beyond a long poll's.

    Permissions: sqs:GetQueueUrl, sqs:GetQueueAttributes, and of sqs:SendMessage,
    sqs:ReceiveMessage, sqs:ChangeMessageVisibility, sqs:DeleteMessage those that are used.
    """

    def __init__(self, client: "SQSClient", name: str, receiver: "SQSClient | None" = None) -> None:
        self._client = client
        self._receiver = receiver or client
        self.name = name
        with wrapped_errors(f"queue {name}"):
            self.url = client.get_queue_url(QueueName=name)["QueueUrl"]

    def send(self, body: str) -> None:
        send_to(self._client, self.url, body)

    def inspect(
        self, wait_seconds: int, hold_seconds: int, maximum: int = BATCH
    ) -> list[DeadLetterMessage]:
        """Receive with all attributes, invisible for `hold_seconds`; counts as a receive."""
        return self._receive(
            _dead_letter,
            maximum,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=hold_seconds,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )

    def receive(self, wait_seconds: int, maximum: int = BATCH) -> list[Received]:
        """Receive up to `maximum` (at most ten), waiting up to `wait_seconds` (at most 20)."""
        return self._receive(
            _received,
            maximum,
            WaitTimeSeconds=wait_seconds,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )

    def extend(self, receipts: Sequence[str], seconds: int) -> dict[str, VisionfleetError]:
        """Change the visibility timeout to `seconds` from now; 0 returns the messages.

        Returns the receipts that failed: LeaseLost if the receipt is no longer valid.
        """
        call = self._client.change_message_visibility_batch
        more = {"VisibilityTimeout": seconds}
        return self._in_tens(call, receipts, f"extend in {self.name}", more)

    def delete(self, receipts: Sequence[str]) -> dict[str, VisionfleetError]:
        call = self._client.delete_message_batch
        return self._in_tens(call, receipts, f"delete from {self.name}", {})

    def arn(self) -> str:
        return self._attributes("QueueArn")["QueueArn"]

    def kms_key(self) -> str:
        """The customer key that encrypts the messages; empty for SQS's own."""
        # Also request the ARN: SQS omits unset attributes, and an empty response would look like a
        # failure.
        return self._attributes("QueueArn", "KmsMasterKeyId").get("KmsMasterKeyId", "")

    def counts(self) -> Counts:
        visible = "ApproximateNumberOfMessages"
        in_flight = "ApproximateNumberOfMessagesNotVisible"
        with wrapped_errors(f"counts of {self.name}"):
            found = self._attributes(visible, in_flight)
            return Counts(int(found[visible]), int(found[in_flight]))

    def _receive(
        self, read: Callable[[Mapping[str, Any]], _T], maximum: int, **how: Any
    ) -> list[_T]:
        with wrapped_errors(f"receive from {self.name}"):
            answer = self._receiver.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=min(maximum, BATCH), **how
            )
            return [read(message) for message in answer.get("Messages", ())]

    def _in_tens(
        self,
        call: Callable[..., Mapping[str, Any]],
        receipts: Sequence[str],
        doing: str,
        more: Mapping[str, int],
    ) -> dict[str, VisionfleetError]:
        failed: dict[str, VisionfleetError] = {}
        for start in range(0, len(receipts), BATCH):
            ten = receipts[start : start + BATCH]
            entries = [{"Id": str(i), "ReceiptHandle": one, **more} for i, one in enumerate(ten)]
            with wrapped_errors(doing):
                answer = call(QueueUrl=self.url, Entries=entries)
                failed |= _failures(answer, ten, doing, LeaseLost)
        return failed

    def _attributes(self, *names: Any) -> Mapping[Any, str]:
        with wrapped_errors(f"attributes of {self.name}"):
            answer = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
            return answer["Attributes"]


class Outbox:
    """Sends to queues by name, and caches their URLs; raises NotFound if a queue was removed."""

    def __init__(self, client: "SQSClient") -> None:
        self._client = client
        self._urls: dict[str, str] = {}

    def send(self, queue: str, body: str, attributes: Mapping[str, str] | None = None) -> None:
        with self._url(queue) as url:
            send_to(self._client, url, body, attributes)

    def send_all(self, queue: str, bodies: Sequence[str]) -> dict[str, VisionfleetError]:
        """Send messages in as few calls as possible; returns those that failed, with the error."""
        return send_apart(lambda some: self._send_batch(queue, some), bodies)

    def _send_batch(self, queue: str, bodies: Sequence[str]) -> dict[str, VisionfleetError]:
        entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)]
        doing = f"send to {queue}"
        with self._url(queue) as url, wrapped_errors(doing):
            answer = self._client.send_message_batch(QueueUrl=url, Entries=entries)  # type: ignore[arg-type]
            return _failures(answer, bodies, doing, Unfit)

    @contextmanager
    def _url(self, queue: str) -> Iterator[str]:
        try:
            if queue not in self._urls:
                with wrapped_errors(f"queue {queue}"):
                    self._urls[queue] = self._client.get_queue_url(QueueName=queue)["QueueUrl"]
            yield self._urls[queue]
        except NotFound:
            self._urls.pop(queue, None)
            raise


def send_to(
    client: "SQSClient", url: str, body: str, attributes: Mapping[str, str] | None = None
) -> None:
    """Send one message to a queue URL; `attributes` are non-empty strings."""
    carried: dict[str, MessageAttributeValueTypeDef] = {
        name: {"DataType": "String", "StringValue": text}
        for name, text in (attributes or {}).items()
    }
    with wrapped_errors("send"):
        answer = client.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=carried)
        _ = answer["MessageId"]  # without it, not a response of SQS


def send_apart(send_all: SendAll, bodies: Sequence[str]) -> dict[str, VisionfleetError]:
    """Send in batches; if a whole batch is refused, send its messages one by one.

    Returns the messages that failed, with the error; raises NotFound and TryLater.
    """
    failed: dict[str, VisionfleetError] = {}
    for batch in batches(bodies):
        try:
            failed |= send_all(batch)
        except NotFound:
            raise
        except GiveUp as error:
            if len(batch) == 1:
                failed[batch[0]] = error
                continue
            for body in batch:
                failed |= send_apart(send_all, [body])
    return failed


def batches(bodies: Sequence[str]) -> Iterator[list[str]]:
    """Split messages into calls of at most ten, and of `BATCH_BYTES` unless a single
    one has more.
    """
    batch: list[str] = []
    size = 0
    for body in bodies:
        length = len(body.encode())
        if batch and (len(batch) == BATCH or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += length
    if batch:
        yield batch


def _dead_letter(message: Mapping[str, Any]) -> DeadLetterMessage:
    system = message["Attributes"]
    return DeadLetterMessage(
        message=_received(message),
        sent_at=int(system["SentTimestamp"]) / 1000,
        first_received_at=int(system["ApproximateFirstReceiveTimestamp"]) / 1000,
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


def _failures(
    answer: Mapping[str, Any], sent: Sequence[str], doing: str, invalid: type[GiveUp]
) -> dict[str, VisionfleetError]:
    """Entries missing from the response count as failed."""
    failed: dict[str, VisionfleetError] = {
        sent[int(entry["Id"])]: entry_error(entry["Code"], entry["SenderFault"], doing, invalid)
        for entry in answer.get("Failed", ())
    }
    taken = {sent[int(entry["Id"])] for entry in answer.get("Successful", ())}
    missing = {one: TryLater(f"{doing}: not in the answer") for one in sent if one not in taken}
    return missing | failed


class ReplyQueues:
    """Permissions: sqs:ListQueues, and on `{prefix}*` sqs:ListQueueTags and sqs:DeleteQueue."""

    def __init__(self, client: "SQSClient", prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def urls(self) -> list[str]:
        with wrapped_errors(f"list queues {self._prefix}*"):
            pages = self._client.get_paginator("list_queues").paginate(
                QueueNamePrefix=self._prefix, PaginationConfig={"PageSize": 1000}
            )
            found = [url for page in pages for url in page.get("QueueUrls", ())]
        return [url for url in found if queue_name(url).startswith(self._prefix)]

    def tags(self, url: str) -> Mapping[str, str]:
        try:
            with wrapped_errors(f"tags of {queue_name(url)}"):
                return self._client.list_queue_tags(QueueUrl=url).get("Tags", {})
        except NotFound:
            return {}

    def remove(self, url: str) -> None:
        with suppress(NotFound), wrapped_errors(f"delete queue {queue_name(url)}"):
            self._client.delete_queue(QueueUrl=url)


def queue_name(url: str) -> str:
    return url.rsplit("/", 1)[-1]
