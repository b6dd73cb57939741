"""One queue of SQS: long polling, batches of ten, and wrapped errors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from visionfleet.aws.errors import failed_entries, wrapped_errors
from visionfleet.aws.outbox import BATCH, send_to
from visionfleet.aws.queue_attributes import COMPARED, differences
from visionfleet.config.schema import QueueSection
from visionfleet.errors import LeaseLost, VisionfleetError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_T = TypeVar("_T")


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

    def receive(
        self, wait_seconds: int, maximum: int = BATCH, hold_seconds: int | None = None
    ) -> list[Received]:
        """Receive up to `maximum` (at most ten), waiting up to `wait_seconds` (at most 20).

        The messages are invisible for `hold_seconds`, or the queue's visibility timeout.
        """
        how = {} if hold_seconds is None else {"VisibilityTimeout": hold_seconds}
        return self._receive(
            _received,
            maximum,
            WaitTimeSeconds=wait_seconds,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
            **how,
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

    def differences(self, settings: QueueSection, deployment: str) -> list[str]:
        """What is not as `settings` want it, one sentence each."""
        with wrapped_errors(f"attributes of {self.name}"):
            found = self._attributes("QueueArn", *COMPARED)
            return list(differences(found, settings, deployment))

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
                failed |= failed_entries(answer, ten, doing, LeaseLost)
        return failed

    def _attributes(self, *names: Any) -> Mapping[Any, str]:
        with wrapped_errors(f"attributes of {self.name}"):
            answer = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
            return answer["Attributes"]


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
