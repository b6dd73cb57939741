"""The stages of a classifier, in order: receive, fetch, classify, store, finish.

Delivery is at least once: a message is deleted only after its result is stored and its reply is
sent.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from visionfleet.classifier.completion import Completion
from visionfleet.classifier.in_flight import WorkCounts
from visionfleet.classifier.receive import Receiver
from visionfleet.classifier.stage import PipelineStage
from visionfleet.classifier.visibility import VisibilityHeartbeat
from visionfleet.host.threads import Crashed, run_bounded, run_in_thread

log = logging.getLogger("classifier")

_HAND_BACK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Receives until `receiver.close`, and ends in `finish` when nothing is left in flight."""

    receiver: Receiver
    stages: Sequence[PipelineStage[Any]]  # in the order of a message's way
    completion: Completion
    heartbeat: VisibilityHeartbeat
    hurry: threading.Event
    crashed: Crashed
    _beats_over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start all threads; the heartbeat first."""
        run_in_thread("heartbeat", lambda: self.heartbeat.run(self._beats_over), self.crashed)
        for stage in (*reversed(self.stages), self.receiver):
            stage.start(self.crashed)

    def finish(self, hurry: bool, deadline: float) -> bool:
        """End all threads by the monotonic `deadline`; tells whether no message hangs.

        In a hurry, what has not reached the model is handed back to the queue at once, and what
        is stuck elsewhere is handed back within three seconds after the deadline. A parked
        receive is given a second and abandoned: its connection closes with the process.
        """
        self.receiver.close()
        if hurry:
            self.hurry.set()
        self.receiver.join(min(deadline, time.monotonic() + 1.0) if hurry else deadline)
        for stage in self.stages:
            stage.finish(deadline)
        self._beats_over.set()
        return not self.counts().in_flight or (hurry and self._hand_back_rest())

    def counts(self) -> WorkCounts:
        """Say what is in flight and what was done."""
        return self.completion.in_flight.counts()

    def working(self) -> bool:
        """Tell whether anything is in flight, or a receive may still bring something."""
        return self.receiver.alive() or self.counts().in_flight > 0

    def _hand_back_rest(self) -> bool:
        """Give back what is still held: a job whose S3 or model hangs is somebody else's now."""
        rest = self.completion.in_flight.held()
        if not rest:
            return self.counts().in_flight == 0
        log.warning("out of time, handing back", extra={"messages": len(rest)})
        answers: list[bool] = []
        hand_back = lambda: answers.append(self.completion.hand_back(rest))  # noqa: E731
        run_bounded("hand back", hand_back, _HAND_BACK_SECONDS, self.crashed)  # SQS may hang too
        return answers == [True]
