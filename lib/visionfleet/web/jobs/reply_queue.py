"""The reply queue of this process, and the thread that listens to it."""

import logging
import threading
from collections.abc import Callable, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from visionfleet.aws.provisioning import delete_reply_queue, make_reply_queue, renew_reply_queue
from visionfleet.aws.sqs import BATCH, Queue, Received
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

# With queue.wait_seconds 0 SQS answers at once; this keeps such a poll from spinning.
SHORT_POLL_SECONDS = 1.0
# While more jobs than these are waited for, replies are let gather for a moment: a receive that
# takes ten costs the CPU and the money of one that takes one.
CROWD = 8
GATHER_SECONDS = 0.05
# What the watchdog knows this loop by.
REPLIES_LOOP = "receiver of replies"


@dataclass(slots=True, eq=False)
class ReplyQueue:
    """One reply queue, made and removed by the process that listens to it. `now` is AWS's time,
    `clock` monotonic. `kms_key` tells the requests' key: a result is as secret as its image.

    Its tag `heartbeat` tells others until when somebody listened. Permissions: sqs:CreateQueue,
    sqs:TagQueue, sqs:DeleteQueue, sqs:GetQueueUrl, sqs:ReceiveMessage, sqs:DeleteMessage on
    `{name}-replies-*`.
    """

    client: "SQSClient"
    parked: "SQSClient"
    name: str
    now: Callable[[], float]
    clock: Callable[[], float]
    kms_key: Callable[[], str]
    _beat_at: float = 0.0
    _key: str = ""
    _queue: Queue = field(init=False)  # once it is made

    def make(self) -> None:
        """Make the queue; one of that name is fine. Raises TryLater."""
        for step in self.steps():
            step()

    def steps(self) -> Sequence[Callable[[], object]]:
        """Tell the calls that make the queue, to be made in turn, each until it passes once."""
        return self._learn_key, self._create, self._find

    def _learn_key(self) -> None:
        self._key = self.kms_key()

    def _create(self) -> None:
        make_reply_queue(self.client, self.name, self._tags(), self._key)

    def _find(self) -> None:
        try:
            self._queue = Queue(self.client, self.name, self.parked)
        except NotFound as error:  # SQS says that a new queue may be unknown for a second
            raise TryLater(str(error)) from error
        self._beat_at = self.clock()

    def receive(self, wait_seconds: int) -> list[Received]:
        """Receive up to ten replies; raises NotFound when the queue is gone."""
        return self._queue.receive(wait_seconds)

    def delete(self, received: list[Received]) -> None:
        """Delete replies; those that fail come again and are then not expected any more."""
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
    """Listens until stopped. A reply is delivered at least once; it is deleted after that."""

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
        """Stop listening; a poll that is parked for longer than `seconds` is left behind."""
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
        # Looked at again: the next poll may be parked for as long as nothing comes.
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
        if self._stop.is_set():  # it was this process that removed it
            return
        self._delivered = []
        self.queue.make()  # SQS refuses the name of a queue deleted in the last 60 s
        log.warning("reply queue was gone, made again", extra={"queue": self.queue.name})

    def _hand_over(self, message: Received) -> None:
        try:
            with suppress(RuntimeError):  # at a stop the loop is closed already
                self.deliver(Reply.decode(message.body))
        except BadMessage as error:
            log.debug("reply undecodable", extra={"reason": str(error)})
