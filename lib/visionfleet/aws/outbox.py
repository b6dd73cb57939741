"""Sends messages to SQS: to queues by name, in batches."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from visionfleet.aws.errors import failed_entries, wrapped_errors
from visionfleet.errors import GiveUp, NotFound, Unfit, VisionfleetError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

BATCH = 10  # entries that SQS takes in one call
# Bytes of one call of several messages: all that SQS took until 2025, and some queues still do.
# More calls cost no more, for SQS bills each 64 KiB as a request.
BATCH_BYTES = 256 << 10

SendAll = Callable[[Sequence[str]], Mapping[str, VisionfleetError]]


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
            return failed_entries(answer, bodies, doing, Unfit)

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
