"""A job on its way through the pipeline, and the results it can end with. No I/O here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from visionfleet.classifier.in_flight import Delivery
from visionfleet.contract.messages import (
    LOW_CONFIDENCE,
    Failed,
    ModelInfo,
    Ranked,
    Request,
    Succeeded,
    Timings,
)
from visionfleet.imaging.model_input import Pixels

GAVE_UP = "gave_up"
EXPIRED = "expired"
IMAGE_MISSING = "image_missing"
IMAGE_REFUSED = "image_refused"


def is_provisional(result: Succeeded | Failed) -> bool:
    """Whether a later result may replace this one: after a redrive the job is tried again."""
    return isinstance(result, Failed) and result.code == GAVE_UP


@dataclass(frozen=True, slots=True)
class Job:
    """One request in flight. `pixels` is None until it is decoded."""

    delivery: Delivery
    request: Request
    timings: Timings
    pixels: Pixels | None = None

    @property
    def attempt(self) -> int:
        """The number of this delivery, from 1 (ApproximateReceiveCount)."""
        return self.delivery.message.receive_count


@dataclass(frozen=True, slots=True)
class Done:
    """A job and its result; `duplicate`: another delivery stored the result before."""

    job: Job
    result: Succeeded | Failed
    duplicate: bool = False
    store_seconds: float = 0.0

    @property
    def outcome(self) -> str:
        if self.duplicate:
            return "duplicate"
        return self.result.code if isinstance(self.result, Failed) else "succeeded"

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Seconds per stage, for the stages that the job went through."""
        known = self.job.timings
        if isinstance(self.result, Succeeded) and not self.duplicate:
            known = self.result.timings
        later = {"fetch": known.fetch, "decode": known.decode, "infer": known.infer}
        spent = {stage: seconds for stage, seconds in later.items() if seconds}
        return {"queue": known.queue} | spent | {"store": self.store_seconds}


@dataclass(frozen=True, slots=True)
class ResultBuilder:
    """Makes the results of one worker. Below a score of `unknown_below` there is no label; `now` is
    AWS's time.
    """

    worker: str
    model: ModelInfo
    now: Callable[[], float]
    unknown_below: float = 0.0

    def succeeded(
        self,
        job: Job,
        ranking: tuple[Ranked, ...],
        infer_seconds: float,
        vector: str | None = None,
    ) -> Done:
        top = ranking[: job.request.top]
        unsure = top[0].score < self.unknown_below
        result = Succeeded(
            label=None if unsure else top[0].label,
            reason=LOW_CONFIDENCE if unsure else None,
            score=top[0].score,
            top=top,
            model=self.model,
            timings=job.timings.model_copy(update={"infer": infer_seconds}),
            vector=vector if job.request.embed else None,
            **self._common(job),
        )
        return Done(job, result)

    def failed(self, job: Job, code: str, reason: str) -> Done:
        return Done(job, Failed(code=code, reason=reason, **self._common(job)))

    def _common(self, job: Job) -> dict[str, Any]:
        request = job.request
        about = {"job": request.job, "file_name": request.file_name, "attempts": job.attempt}
        return about | {"worker": self.worker, "finished_at": self.now()}
