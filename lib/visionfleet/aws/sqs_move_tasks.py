"""The SQS edge for message move tasks: SQS redrives dead letters itself, at a given rate."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from visionfleet.aws.errors import wrapped_errors

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

RUNNING = frozenset({"RUNNING", "CANCELLING"})


@dataclass(frozen=True, slots=True)
class Move:
    """A task as SQS reports it: `status` is RUNNING, COMPLETED, CANCELLING, CANCELLED or FAILED."""

    started_at_ms: int
    status: str
    moved: int
    to_move: int | None
    reason: str = ""

    @property
    def running(self) -> bool:
        return self.status in RUNNING


class MoveTasks:
    """The move tasks from one queue to another; SQS runs one per source at a time.

    Permissions: sqs:StartMessageMoveTask, sqs:ListMessageMoveTasks, and on the queues
    sqs:ReceiveMessage, sqs:DeleteMessage, sqs:GetQueueAttributes and sqs:SendMessage.
    """

    def __init__(self, client: "SQSClient", source_arn: str, destination_arn: str) -> None:
        self._client = client
        self._source, self._destination = source_arn, destination_arn

    def latest(self) -> Move | None:
        with wrapped_errors("list message move tasks"):
            answer = self._client.list_message_move_tasks(SourceArn=self._source, MaxResults=1)
            for entry in answer.get("Results", ()):
                return Move(
                    started_at_ms=entry.get("StartedTimestamp", 0),
                    status=entry["Status"],
                    moved=entry.get("ApproximateNumberOfMessagesMoved", 0),
                    to_move=entry.get("ApproximateNumberOfMessagesToMove"),
                    reason=entry.get("FailureReason", ""),
                )
        return None

    def start(self, per_second: int | None) -> None:
        limit: Any = {} if per_second is None else {"MaxNumberOfMessagesPerSecond": per_second}
        with wrapped_errors("start message move task"):
            self._client.start_message_move_task(
                SourceArn=self._source, DestinationArn=self._destination, **limit
            )
