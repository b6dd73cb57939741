"""The reply queue of this process, and the thread that polls it."""

import logging
import threading
from collections.abc import Callable, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from visionfleet.aws.outbox import BATCH
from visionfleet.aws.provisioning import delete_reply_queue, make_reply_queue, renew_reply_queue
from visionfleet.aws.sqs import Queue, Received
from visionfleet.backoff import growing_waits
from visionfleet.contract.messages import Reply
from visionfleet.contract.names import HEARTBEAT_SECONDS, HEARTBEAT_TAG, REPLIES_TAGS
from visionfleet.errors import BadMessage, NotFound, TryLater, VisionfleetError
from visionfleet.host.daemon_threads import Crashed, run_in_thread
from visionfleet.host.watchdog import Watchdog
from visionfleet.logs.episode import Episode
from visionfleet.web.load.readiness import Readiness

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

log = logging.getLogger("web")

# With queue.wait_seconds 0 SQS answers at once; this avoids a busy loop.
SHORT_POLL_SECONDS = 1.0
# With more pending jobs than this, wait briefly so that replies gather: a receive of ten costs as
# much as a receive of one.
CROWD = 8
GATHER_SECONDS = 0.05
# Its name for the watchdog.
REPLIES_LOOP = "receiver of replies"


@dataclass(slots=True, eq=False)
class ReplyQueue:
    """The reply queue, created and removed by this process. `now` is AWS's time, `clock` monotonic.

    `kms_key` returns the key of the request queue: results are as confidential as images. The tag
    `heartbeat` says until when the queue was polled. Permissions: sqs:CreateQueue, sqs:TagQueue,
    sqs:DeleteQueue, sqs:GetQueueUrl, sqs:ReceiveMessage, sqs:DeleteMessage on `{name}-replies-*`.
    """

    client: "SQSClient"
    long_poll: "SQSClient"
    name: str
    now: Callable[[], float]
    clock: Callable[[], float]
    kms_key: Callable[[], str]
    _beat_at: float = 0.0
    _key: str = ""
    _queue: Queue = field(init=False)  # set by `make`

    def make(self) -> None:
        """Create the queue, unless it exists. Raises TryLater."""
        for step in self.steps():
            step()

    def steps(self) -> Sequence[Callable[[], object]]:
        """The calls that create the queue, in order, each to be retried until it succeeds."""
        return self._learn_key, self._create, self._find

    def _learn_key(self) -> None:
        self._key = self.kms_key()

    def _create(self) -> None:
        make_reply_queue(self.client, self.name, self._tags(), self._key)

    def _find(self) -> None:
        try:
            self._queue = Queue(self.client, self.name, self.long_poll)
        except NotFound as error:  # a new queue may be unknown for a second
            raise TryLater(str(error)) from error
        self._beat_at = self.clock()

    def receive(self, wait_seconds: int) -> list[Received]:
        """Receive up to ten replies; raises NotFound if the queue was removed."""
        return self._queue.receive(wait_seconds)

    def delete(self, received: list[Received]) -> None:
        """Delete replies; those that fail are redelivered and then ignored."""
        self._queue.delete([message.receipt for message in received])

    def beat(self) -> None:
        if self.clock() - self._beat_at >= HEARTBEAT_SECONDS:
            renew_reply_queue(self.client, self._queue.url, self._tags())
            self._beat_at = self.clock()

    def remove(self) -> None:
        """Remove the queue; raises NotFound, TryLater."""
        delete_reply_queue(self.client, self.name)

    def _tags(self) -> dict[str, str]:
        return {**REPLIES_TAGS, HEARTBEAT_TAG: str(int(self.now()))}


@dataclass(slots=True, eq=False)
class ReplyPoller:
    """Polls until stopped. Replies are delivered at least once, and deleted afterwards."""

    queue: ReplyQueue
    wait_seconds: int
    deliver: Callable[[Reply], object]
    awaited: Sized
    readiness: Readiness
    watchdog: Watchdog
    crashed: Crashed
    random: Random
    _delivered: list[Received] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = run_in_thread("replies", self._listen, self.crashed)

    def stop(self, seconds: float) -> None:
        """Stop polling; a long poll that takes longer than `seconds` is abandoned."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _listen(self) -> None:
        outage = Episode(log, "replies cannot be received", "replies are received again")
        waits = None
        while not self._stop.is_set():
            self.watchdog.step(REPLIES_LOOP)
            try:
                self._poll()
                if waits is not None:
                    outage.succeeded()
                    waits = None
            except VisionfleetError as error:
                if self._stop.is_set():
                    return
                outage.failed(error)
                self.watchdog.rest(REPLIES_LOOP)
                waits = waits or growing_waits(self.random)
                self._stop.wait(next(waits))

    def _poll(self) -> None:
        try:
            received = self.queue.receive(self.wait_seconds)
        except NotFound:
            self._make_again()
            return
        self.readiness.polled_at = self.readiness.clock()
        for message in received:
            self._hand_over(message)
        self._delivered += received
        self.queue.beat()
        if received and self._crowded():
            self._stop.wait(GATHER_SECONDS)
        # Check again: the next long poll may block for long.
        if not self._crowded() or len(self._delivered) >= BATCH:
            self._delete_delivered()
        if not received and self.wait_seconds == 0:
            self._stop.wait(SHORT_POLL_SECONDS)

    def _crowded(self) -> bool:
        return len(self.awaited) > CROWD

    def _delete_delivered(self) -> None:
        delivered, self._delivered = self._delivered, []
        if delivered:
            self.queue.delete(delivered)

    def _make_again(self) -> None:
        if self._stop.is_set():  # removed by this process
            return
        self._delivered = []
        self.queue.make()  # fails for 60 s after the queue was deleted
        log.warning("reply queue was gone, made again", extra={"queue": self.queue.name})

    def _hand_over(self, message: Received) -> None:
        try:
            with suppress(RuntimeError):  # the loop is closed at a stop
                self.deliver(Reply.decode(message.body))
        except BadMessage as error:
            log.debug("reply undecodable", extra={"reason": str(error)})
