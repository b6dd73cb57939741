"""The ways a delivery ends: answered, returned to the queue, or moved to the dead letters.

Delivery is at least once: a message is deleted only after its result is stored and its reply is
sent, so a reply may be sent twice but no result is lost.
"""

import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random

from visionfleet.aws.outbox import Outbox
from visionfleet.aws.sqs import Queue
from visionfleet.backoff import backoff_seconds
from visionfleet.classifier.in_flight import Delivery, InFlight, names
from visionfleet.classifier.jobs import Done
from visionfleet.classifier.metrics import ClassifierMetrics
from visionfleet.contract.messages import Failed, Reply, encode
from visionfleet.errors import GiveUp, NotFound, VisionfleetError

log = logging.getLogger("classifier")

_DELETE_TRIES = 3
# The last delivery gives up, and the one before isolates the image.
_SPARE_DELIVERIES = 2


@dataclass(frozen=True, slots=True)
class Completion:
    """Ends deliveries; messages that cannot be decoded go to the queue `dead_letters`."""

    requests: Queue
    outbox: Outbox
    dead_letters: str
    max_receives: int
    in_flight: InFlight
    metrics: ClassifierMetrics
    random: Random

    def answer(self, stored: Sequence[Done]) -> None:
        started = time.monotonic()
        self._reply(stored)
        reply_seconds = time.monotonic() - started
        deliveries = [done.job.delivery for done in stored]
        with self.in_flight.ending(deliveries, answered=True):
            self._delete(deliveries)
            for done in stored:
                self.metrics.jobs.labels(done.outcome).inc()
                for stage, seconds in (done.stage_seconds | {"reply": reply_seconds}).items():
                    self.metrics.stage_seconds[stage].observe(seconds)
                _log_end(done)

    def retry(self, delivery: Delivery, reason: str) -> None:
        wait = round(backoff_seconds(delivery.message.receive_count, self.random, base=4.0))
        fields = delivery.about() | {"in_seconds": wait, "reason": reason}
        log.warning("will be tried again", extra=fields)
        self.metrics.retries.inc()
        self._return([delivery], wait)

    def hand_back(self, deliveries: Collection[Delivery]) -> bool:
        """Make messages visible again at once and drop their work, which other workers may have by
        then; returns whether SQS answered.
        """
        fields = {"messages": len(deliveries), "jobs": names(deliveries)}
        log.info("handed back", extra=fields)
        renewed = self._renew([each for each in deliveries if self._untried(each)])
        answered = self._return([each for each in deliveries if each not in renewed], 0)
        for delivery in deliveries:
            delivery.lost = True
        return answered

    def _untried(self, delivery: Delivery) -> bool:
        """Whether the next delivery would isolate a message, though nothing has failed here; one
        that is to be isolated already keeps its count.
        """
        innocent = not (delivery.tried or delivery.lost) and delivery.holders == 1
        return innocent and delivery.message.receive_count == self.max_receives - _SPARE_DELIVERIES

    def _renew(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Send copies, whose deliveries count anew, then delete the messages; returns those. Where
        this fails, they are handed back as they are; a duplicate does no harm.
        """
        by_body = {delivery.message.body: delivery for delivery in deliveries}
        if not by_body:
            return ()
        try:
            failed = self.outbox.send_all(self.requests.name, list(by_body))
        except VisionfleetError as error:  # the IAM role of an earlier release does not allow it
            log.info("not sent anew", extra={"jobs": names(deliveries), "reason": str(error)})
            return ()
        renewed = [delivery for body, delivery in by_body.items() if body not in failed]
        with self.in_flight.ending(renewed):
            self._delete(renewed)
        return renewed

    def _return(self, deliveries: Collection[Delivery], seconds: int) -> bool:
        """Set the visibility timeout; if that fails, SQS redelivers when the old one is over."""
        with self.in_flight.ending(deliveries):
            receipts = [each.message.receipt for each in deliveries if not each.lost]
            try:
                self.requests.extend(receipts, seconds)
            except VisionfleetError as error:
                fields = {"messages": len(receipts), "jobs": names(deliveries)}
                log.warning("hand back failed", extra=fields | {"reason": str(error)})
                return False
        return True

    def dead_letter(self, delivery: Delivery, reason: str) -> None:
        """Move a message that cannot be decoded to the dead-letter queue."""
        log.error("message cannot be decoded", extra=delivery.about() | {"reason": reason})
        attributes = {"reason": _attribute(reason)}
        try:
            self.outbox.send(self.dead_letters, delivery.message.body, attributes)
        except VisionfleetError as error:  # SQS moves it after the maximum of receives
            self.retry(delivery, str(error))
            return
        with self.in_flight.ending([delivery]):
            self._delete([delivery])
        self.metrics.jobs.labels("undecodable").inc()

    def _reply(self, stored: Sequence[Done]) -> None:
        """Send the replies, one batch per web process, which otherwise finds the result in S3."""
        by_queue: dict[str, list[Done]] = {}
        for done in stored:
            if done.job.request.reply_to is not None:
                by_queue.setdefault(done.job.request.reply_to, []).append(done)
        for queue, some in by_queue.items():
            bodies = [encode(Reply(job=done.result.job, result=done.result)) for done in some]
            jobs = ",".join(done.result.job for done in some)
            fields = {"queue": queue, "replies": len(bodies), "jobs": jobs}
            try:
                if failed := self.outbox.send_all(queue, bodies):
                    reason = str(next(iter(failed.values())))
                    log.warning("replies failed", extra=fields | {"reason": reason})
            except NotFound:
                log.info("nobody waits", extra=fields)
            except VisionfleetError as error:
                log.warning("replies failed", extra=fields | {"reason": str(error)})

    def _delete(self, deliveries: Sequence[Delivery]) -> None:
        left = {delivery.message.receipt: delivery for delivery in deliveries}
        for _ in range(_DELETE_TRIES):
            try:
                failed = self.requests.delete(list(left))
            except VisionfleetError:
                continue
            passing = [key for key, error in failed.items() if not isinstance(error, GiveUp)]
            left = {receipt: left[receipt] for receipt in passing}
            if not left:
                return
        # They are redelivered after the visibility timeout and answered from their stored results.
        fields = {"messages": len(left), "jobs": names(left.values())}
        log.warning("messages not deleted", extra=fields)


def _attribute(reason: str) -> str:
    """Sanitize a reason for a message attribute: not empty, printable and short."""
    return "".join(letter if letter.isprintable() else " " for letter in reason)[:500] or "unknown"


def _log_end(done: Done) -> None:
    result = done.result
    fields: dict[str, object] = {"job": result.job, "attempts": done.job.attempt}
    if isinstance(result, Failed):
        log.info("job failed", extra=fields | {"code": result.code, "reason": result.reason})
    else:
        fields |= {"label": result.label, "score": result.score}
        fields |= {"queue_seconds": result.timings.queue, "infer_seconds": result.timings.infer}
        log.info("job done", extra=fields)
