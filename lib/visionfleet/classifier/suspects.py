"""Classifies images that may have crashed a worker alone, in a child process."""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from visionfleet.classifier.isolation import Isolation
from visionfleet.classifier.jobs import Done, Job, ResultBuilder
from visionfleet.classifier.retrier import Retrier
from visionfleet.contract.messages import Ranked
from visionfleet.errors import BadImage

log = logging.getLogger("classifier")


@dataclass(frozen=True, slots=True)
class SuspectClassifier:
    """The stage of suspects, on one thread.

    `suspects` maps message ids to the crash that makes them suspect. The first one that crashes its
    child process is the culprit and clears the other suspects of that crash, once its result is
    stored: one of them may crash the worker as well.
    """

    child: Isolation
    suspects: dict[str, str]
    last_try: int
    builder: ResultBuilder
    cleared: Callable[[Job], None]
    done: Callable[[Done], None]
    retrier: Retrier

    def is_suspect(self, job: Job) -> bool:
        return self._is_last_try(job) or job.delivery.message.message_id in self.suspects

    def classify(self, batch: Sequence[Job]) -> None:
        for job in batch:
            if self.retrier.handing_back.is_set():
                self.retrier.completion.hand_back([job.delivery])
            elif self.is_suspect(job):
                self.retrier.run(job.delivery, partial(self._classify, job))
            else:
                self.cleared(job)
        self.child.close()  # it holds a second model in memory

    def _clear(self, culprit: str) -> None:
        crash = self.suspects.get(culprit)
        for suspect, its_crash in list(self.suspects.items()):
            if its_crash == crash:
                self.suspects.pop(suspect, None)

    def _is_last_try(self, job: Job) -> bool:
        return job.attempt == self.last_try

    def _classify(self, job: Job) -> None:
        if not self.retrier.completion.in_flight.holds_lease(job.delivery):
            return
        fields = {"job": job.request.job, "attempts": job.attempt}
        if self._is_last_try(job):
            log.warning("last try, alone", extra=fields)
        else:
            log.warning("suspect, alone", extra=fields)
        assert job.pixels is not None
        job.delivery.tried = True
        started = time.monotonic()
        try:
            header, body = self.child.ask({}, job.pixels.tobytes())
        except BadImage as error:
            self.done(self.builder.failed(job, error.code, str(error)))
            self.retrier.loops.rest(threading.current_thread().name)  # waiting is healthy
            self.retrier.completion.in_flight.wait_for_end(job.delivery)
            self._clear(job.delivery.message.message_id)
            return
        if "failed" in header:
            self.retrier.completion.retry(job.delivery, header["failed"])
            return
        answer = json.loads(body)
        ranking = tuple(Ranked(**ranked) for ranked in answer["ranking"])
        seconds, vector = time.monotonic() - started, answer["vector"]
        self.done(self.builder.succeeded(job, ranking, seconds, vector))
