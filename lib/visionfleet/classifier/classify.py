"""Classifies decoded images in dynamic batches: one forward pass for all that are waiting."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from visionfleet.classifier.completion import Completion
from visionfleet.classifier.jobs import Done, Job, ResultBuilder
from visionfleet.contract.messages import Ranked
from visionfleet.host.watchdog import Watchdog
from visionfleet.imaging.model_input import Pixels

log = logging.getLogger("classifier")

MODEL_LOOP = "model"  # its name for the watchdog

Ranking: TypeAlias = tuple[Ranked, ...]


class Model(Protocol):
    """Ranks the classes of each image, best first, `top` of them; raises RuntimeError on failure.

    `rank_and_embed` adds each image's embedding, None where the model has none.
    """

    def rank(self, batch: Sequence[Pixels], top: int) -> list[Ranking]: ...
    def rank_and_embed(
        self, batch: Sequence[Pixels], top: int
    ) -> list[tuple[Ranking, str | None]]: ...


@dataclass(frozen=True, slots=True)
class BatchClassifier:
    """The model stage, on one thread. Once `handing_back` is set, new batches are handed back."""

    model: Model
    builder: ResultBuilder
    completion: Completion
    done: Callable[[Done], None]
    handing_back: threading.Event
    loops: Watchdog

    def classify(self, batch: Sequence[Job]) -> None:
        if self.handing_back.is_set():
            self.completion.hand_back([job.delivery for job in batch])
            return
        jobs = [job for job in batch if self.completion.in_flight.holds_lease(job.delivery)]
        try:
            if jobs:
                self._rank(jobs)
        except RuntimeError as error:
            if len(jobs) == 1:
                reason = str(error).strip().splitlines()[-1]
                log.error("model failed", extra={"job": jobs[0].request.job, "reason": reason})
                self.completion.retry(jobs[0].delivery, reason)
                return
            for job in jobs:  # a bad image must not fail its batch
                self.classify([job])

    def _rank(self, jobs: Sequence[Job]) -> None:
        started = time.monotonic()
        pixels = [job.pixels for job in jobs if job.pixels is not None]
        self.loops.step(MODEL_LOOP)
        self.completion.in_flight.enter_model([job.delivery for job in jobs])
        try:
            answers = self._answers(jobs, pixels)
        finally:
            self.loops.rest(MODEL_LOOP)
        seconds = time.monotonic() - started
        metrics = self.completion.metrics
        metrics.items.inc(len(pixels))
        metrics.batches.inc()
        metrics.batch_size.observe(len(pixels))
        metrics.model_seconds.inc(seconds)
        for job, (ranking, vector) in zip(jobs, answers, strict=True):
            self.done(self.builder.succeeded(job, ranking, seconds, vector))

    def _answers(
        self, jobs: Sequence[Job], pixels: Sequence[Pixels]
    ) -> list[tuple[Ranking, str | None]]:
        top = max(job.request.top for job in jobs)
        if any(job.request.embed for job in jobs):
            return self.model.rank_and_embed(pixels, top)
        return [(ranking, None) for ranking in self.model.rank(pixels, top)]
