"""The end of the pipeline: store the result, reply, and only then delete the message."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from visionfleet.errors import GiveUp, NotFound, TryLater, VisionfleetError
from visionfleet.messages import (
    Failed,
    Reply,
    Succeeded,
    by_name_key,
    decode_result,
    encode,
    result_key,
)
from visionfleet.pipeline.jobs import Done
from visionfleet.pipeline.leases import Lease, LeaseKeeper
from visionfleet.queues import Outbox, Queue
from visionfleet.retry import backoff_seconds
from visionfleet.store import Store

log = logging.getLogger("classifier")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Ends jobs. Delivery is at least once: a result may be sent twice, never lost."""

    requests: Queue
    outbox: Outbox
    results: Store
    keeper: LeaseKeeper
    by_name: bool
    random: Random
    now: Callable[[], float]

    def finish(self, done: Sequence[Done]) -> list[Done]:
        """Store and answer each job, then delete their messages; returns those that ended.

        A job whose result could not be stored goes back to the queue, for a later try.
        """
        ended = [finished for each in done if (finished := self._store(each)) is not None]
        for each in ended:
            self._reply(each)
        self._delete([each.job.lease for each in ended])
        for each in ended:
            _log_end(each)
        return ended

    def retry(self, lease: Lease, reason: str) -> None:
        """Give a message back for a later try, the later the more often it was received."""
        wait = round(backoff_seconds(lease.message.receive_count, self.random, base=4.0))
        log.warning(
            "will be tried again",
            extra={"message_id": lease.message.message_id, "in_seconds": wait, "reason": reason},
        )
        self.hand_back([lease], wait)

    def hand_back(self, leases: Iterable[Lease], seconds: int = 0) -> None:
        """Make messages visible again after `seconds`; what fails comes back by itself."""
        leases = list(leases)
        self.keeper.release(leases)
        receipts = [lease.message.receipt for lease in leases if not lease.lost]
        try:
            self.requests.extend(receipts, seconds)
        except TryLater as error:
            log.warning("hand back failed", extra={"messages": len(receipts), "reason": str(error)})

    def bury(self, lease: Lease, dead: str, reason: str) -> None:
        """Move a message that cannot be decoded to the dead letters."""
        log.error(
            "message cannot be decoded",
            extra={"message_id": lease.message.message_id, "reason": reason},
        )
        try:
            self.outbox.send(dead, lease.message.body)
        except TryLater as error:
            self.retry(lease, str(error))
        else:
            self._delete([lease])

    def _store(self, done: Done) -> Done | None:
        if done.job.lease.lost:
            return None
        try:
            return done if done.stored else self._store_first(done)
        except TryLater as error:
            self.retry(done.job.lease, str(error))
            return None

    def _store_first(self, done: Done) -> Done:
        """The first result wins; if another worker was first, its result is the answer."""
        key = result_key(done.result.job)
        if not self.results.put_json_first(key, encode(done.result)):
            first = decode_result(self.results.get(key).decode())
            return Done(done.job, first, stored=True)
        if self.by_name and isinstance(done.result, Succeeded) and done.result.file_name:
            label = done.result.label.encode()
            self.results.put(by_name_key(done.result.file_name), label, "text/plain")
        return done

    def _reply(self, done: Done) -> None:
        """Wake the web process; whoever is not woken finds the result in S3."""
        queue = done.job.request.reply_to
        if queue is None:
            return
        try:
            self.outbox.send(queue, encode(Reply(job=done.result.job, result=done.result)))
        except NotFound:
            log.info("nobody waits", extra={"job": done.result.job, "queue": queue})
        except VisionfleetError as error:
            log.warning("reply failed", extra={"job": done.result.job, "reason": str(error)})

    def _delete(self, leases: list[Lease]) -> None:
        self.keeper.release(leases)
        receipts = [lease.message.receipt for lease in leases]
        for _ in range(3):
            receipts = self._delete_once(receipts)
            if not receipts:
                return
        # They come back after the visibility timeout and are answered from their results.
        log.warning("messages not deleted", extra={"messages": len(receipts)})

    def _delete_once(self, receipts: list[str]) -> list[str]:
        try:
            failed = self.requests.delete(receipts)
        except TryLater:
            return receipts
        return [receipt for receipt, error in failed.items() if not isinstance(error, GiveUp)]


def _log_end(done: Done) -> None:
    result = done.result
    fields: dict[str, object] = {"job": result.job, "attempts": done.job.attempt}
    if isinstance(result, Failed):
        log.info("job failed", extra=fields | {"code": result.code, "reason": result.reason})
    else:
        spent = result.timings
        log.info(
            "job done",
            extra=fields
            | {"label": result.label, "score": result.score, "queue_seconds": spent.queue}
            | {"infer_seconds": spent.infer},
        )
