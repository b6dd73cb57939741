"""Inspects dead letters without losing any, and finds the reason for each."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from visionfleet.aws.outbox import BATCH
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import DeadLetterMessage, Queue
from visionfleet.contract import documents
from visionfleet.contract.messages import Failed, Request, Succeeded
from visionfleet.errors import BadMessage, TryLater

REASON = "reason"  # the attribute with a worker's reason

HOLD_SECONDS = 60  # visibility timeout, if this process dies
WAIT_SECONDS = 1  # a long poll queries all SQS servers, a short one only some
EMPTY_RECEIVES = 2  # consecutive ones, then there are no more


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that failed too often, or could not be decoded (see `fault`)."""

    delivery: DeadLetterMessage
    request: Request | None
    fault: str = ""

    @property
    def message_id(self) -> str:
        return self.delivery.message.message_id

    @property
    def job(self) -> str | None:
        return None if self.request is None else self.request.job


class DeadLetterSample:
    """Receives each dead letter once, and returns all of them when the with block ends."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._receipts: dict[str, str] = {}

    def __enter__(self) -> "DeadLetterSample":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(TryLater):  # they become visible again later
            self._queue.extend(list(self._receipts.values()), 0)

    def dead_letters(self, limit: int | None = None) -> Iterator[DeadLetter]:
        """Yield new ones until there are no more, or `limit` of them."""
        empty = stale = 0
        # Messages held for long are redelivered: a full round of those brings nothing new.
        while empty < EMPTY_RECEIVES and stale <= len(self._receipts) // BATCH:
            left = BATCH if limit is None else limit - len(self._receipts)
            if left <= 0:
                return
            received = self._queue.inspect(WAIT_SECONDS, HOLD_SECONDS, left)
            fresh = [each for each in received if self._keep(each)]
            empty = 0 if received else empty + 1
            stale = stale + 1 if received and not fresh else 0
            yield from map(_decoded, fresh)

    def _keep(self, delivery: DeadLetterMessage) -> bool:
        message = delivery.message
        new = message.message_id not in self._receipts
        self._receipts[message.message_id] = message.receipt  # only the newest receipt is valid
        return new

    def forget(self, dead: DeadLetter) -> None:
        self._receipts.pop(dead.message_id, None)


def _decoded(delivery: DeadLetterMessage) -> DeadLetter:
    try:
        return DeadLetter(delivery, Request.decode(delivery.message.body))
    except BadMessage as error:
        return DeadLetter(delivery, None, str(error))


def result(dead: DeadLetter, results: Store) -> Succeeded | Failed | None:
    return None if dead.job is None else results.read(documents.result(dead.job))


def reason(dead: DeadLetter, answer: Succeeded | Failed | None) -> str:
    """Why it is there: the worker's note, the fault, or its result."""
    noted = dead.delivery.attributes.get(REASON) or dead.fault
    if noted:
        return noted
    if answer is None:
        return "no result"
    return answer.code if isinstance(answer, Failed) else answer.status
