"""The end of the pipeline: store the result, reply, and only then delete the message."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Outbox, Queue
from visionfleet.backoff import backoff_seconds
from visionfleet.classifier.jobs import Done, is_provisional
from visionfleet.classifier.stats import Events
from visionfleet.classifier.visibility import Delivery, VisibilityHeartbeat, jobs
from visionfleet.contract.messages import Failed, Reply, Succeeded, decode_result, encode
from visionfleet.contract.names import by_name_key, result_key
from visionfleet.errors import BadMessage, GiveUp, NotFound, TryLater, VisionfleetError

log = logging.getLogger("classifier")


@dataclass(frozen=True, slots=True)
class Stored:
    """A job whose result is in S3, and how many seconds it took to put it there."""

    done: Done
    seconds: float


@dataclass(frozen=True, slots=True)
class Completion:
    """Ends jobs. Delivery is at least once: a result may be sent twice, never lost."""

    requests: Queue
    outbox: Outbox
    results: Store
    keeper: VisibilityHeartbeat
    by_name: bool
    random: Random
    now: Callable[[], float]
    events: Events = field(default_factory=Events)

    def store(self, done: Done) -> Stored | None:
        """Store a result; None for a job that is no longer ours, or that could not be stored.

        The latter goes back to the queue, for a later try.
        """
        if done.job.lease.lost:
            return None
        started = time.monotonic()
        try:
            stored = done if done.stored else self._store_first(done)
            self._store_by_name(stored.result)
        except TryLater as error:
            self.retry(done.job.lease, str(error))
            return None
        return Stored(stored, time.monotonic() - started)

    def answer(self, stored: Sequence[Stored]) -> None:
        """Reply to those who wait for these jobs, then delete their messages."""
        started = time.monotonic()
        ended = [each.done for each in stored]
        self._reply(ended)
        reply_seconds = time.monotonic() - started
        self._delete([done.job.lease for done in ended])
        for each in stored:
            spent = {"store": each.seconds, "reply": reply_seconds}
            self.events.ended(_outcome(each.done), _stages(each.done) | spent)
            _log_end(each.done)

    def retry(self, lease: Delivery, reason: str) -> None:
        """Give a message back for a later try, the later the more often it was received."""
        wait = round(backoff_seconds(lease.message.receive_count, self.random, base=4.0))
        log.warning(
            "will be tried again",
            extra=lease.about() | {"in_seconds": wait, "reason": reason},
        )
        self.events.retried()
        self._return([lease], wait)

    def hand_back(self, leases: Iterable[Delivery]) -> bool:
        """Make messages visible again at once; tells whether SQS answered."""
        leases = list(leases)
        log.info("handed back", extra={"messages": len(leases), "jobs": jobs(leases)})
        return self._return(leases, 0)

    def _return(self, leases: Sequence[Delivery], seconds: int) -> bool:
        """Make messages visible again after `seconds`; tells whether SQS answered.

        What fails comes back by itself, when its visibility timeout is over.
        """
        self.keeper.release(leases)
        receipts = [lease.message.receipt for lease in leases if not lease.lost]
        try:
            self.requests.extend(receipts, seconds)
        except TryLater as error:
            fields = {"messages": len(receipts), "jobs": jobs(leases), "reason": str(error)}
            log.warning("hand back failed", extra=fields)
            return False
        return True

    def bury(self, lease: Delivery, dead: str, reason: str) -> None:
        """Move a message that cannot be decoded to the dead letters."""
        log.error(
            "message cannot be decoded",
            extra=lease.about() | {"reason": reason},
        )
        try:
            self.outbox.send(dead, lease.message.body, {"reason": one_line(reason)})
        except VisionfleetError as error:  # if it cannot be sent, SQS moves it in the end
            self.retry(lease, str(error))
        else:
            self._delete([lease])
            self.events.ended("undecodable", {})

    def _store_first(self, done: Done) -> Done:
        """The first result wins; if another worker was first, its result is the answer."""
        key = result_key(done.result.job)
        if self.results.put_json_if(key, encode(done.result), None):
            return done
        found = self.results.find_tagged(key)
        if found is None:
            raise TryLater(f"{key}: another write is under way, or failed")
        body, etag = found
        first = _readable(body)
        if first is not None and not (is_provisional(first) and isinstance(done.result, Succeeded)):
            return Done(done.job, first, stored=True)
        if not self.results.put_json_if(key, encode(done.result), etag):
            raise TryLater(f"{key}: somebody else replaced it")
        return done

    def _store_by_name(self, result: Succeeded | Failed) -> None:
        """Write the bare label too, also for a result whose writer may have died before this."""
        if self.by_name and isinstance(result, Succeeded) and result.file_name:
            self.results.put(by_name_key(result.file_name), result.best.encode(), "text/plain")

    def _reply(self, ended: Sequence[Done]) -> None:
        """Wake the web processes, each with one call; who is not woken finds the result in S3."""
        by_queue: dict[str, list[Done]] = {}
        for done in ended:
            if done.job.request.reply_to is not None:
                by_queue.setdefault(done.job.request.reply_to, []).append(done)
        for queue, some in by_queue.items():
            bodies = [encode(Reply(job=done.result.job, result=done.result)) for done in some]
            names = ",".join(done.result.job for done in some)
            fields = {"queue": queue, "replies": len(bodies), "jobs": names}
            try:
                if failed := self.outbox.send_all(queue, bodies):
                    reason = str(next(iter(failed.values())))
                    log.warning("replies failed", extra=fields | {"reason": reason})
            except NotFound:
                log.info("nobody waits", extra=fields)
            except VisionfleetError as error:
                log.warning("replies failed", extra=fields | {"reason": str(error)})

    def _delete(self, leases: list[Delivery]) -> None:
        self.keeper.release(leases)
        left = {lease.message.receipt: lease for lease in leases}
        for _ in range(3):
            left = {receipt: left[receipt] for receipt in self._delete_once(list(left))}
            if not left:
                return
        # They come back after the visibility timeout and are answered from their results.
        fields = {"messages": len(left), "jobs": jobs(left.values())}
        log.warning("messages not deleted", extra=fields)

    def _delete_once(self, receipts: list[str]) -> list[str]:
        try:
            failed = self.requests.delete(receipts)
        except TryLater:
            return receipts
        return [receipt for receipt, error in failed.items() if not isinstance(error, GiveUp)]


def _outcome(done: Done) -> str:
    """Name how a job ended, for its counter: a failure by its code."""
    if done.stored:
        return "duplicate"
    return done.result.code if isinstance(done.result, Failed) else "succeeded"


def _stages(done: Done) -> dict[str, float]:
    """List what a job's own timings know; an image that failed early has not seen all stages."""
    known = done.job.timings
    if isinstance(done.result, Succeeded) and not done.stored:  # else they are another worker's
        known = done.result.timings
    later = {"fetch": known.fetch, "decode": known.decode, "infer": known.infer}
    return {"queue": known.queue} | {stage: spent for stage, spent in later.items() if spent}


def one_line(reason: str) -> str:
    """Make a reason fit for an attribute of a message: not empty, printable and short."""
    return "".join(letter if letter.isprintable() else " " for letter in reason)[:500] or "unknown"


def _readable(body: bytes) -> Succeeded | Failed | None:
    """Read a result; None for what is none, which must not stand in the way of one."""
    try:
        return decode_result(body.decode(errors="replace"))
    except BadMessage:
        return None


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
