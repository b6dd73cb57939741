"""Writes worker reports to S3, where the scaler reads them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from visionfleet.aws.s3 import Store
from visionfleet.classifier.in_flight import WorkCounts
from visionfleet.classifier.metrics import ClassifierMetrics
from visionfleet.config.classifier import ClassifierSection
from visionfleet.contract.messages import ModelInfo, WorkerReport, WorkerState, encode
from visionfleet.contract.model_description import ModelDescription
from visionfleet.contract.names import MODEL_KEY, worker_key
from visionfleet.errors import GiveUp, TryLater, VisionfleetError

log = logging.getLogger("classifier")

# A worker with little traffic alternates between these, and each report is a paid call: one a
# second is 3,600 an hour, a fifth of the price of a small instance.
_FLICKERING = {"idle", "busy"}
_REPORTS_PER_INTERVAL = 3


@dataclass(frozen=True, slots=True)
class Identity:
    """Who reports; `started_at` (wall time) tells this process from an earlier one of that name."""

    worker: str
    host: str
    version: str
    started_at: float
    host_up_seconds: float | None = None


@dataclass(slots=True)
class Reporter:
    """Reports state changes at once and repeats the report regularly.

    `now` is AWS's time, `clock` is monotonic; a reload replaces `settings`.
    """

    store: Store
    identity: Identity
    settings: ClassifierSection
    metrics: ClassifierMetrics
    now: Callable[[], float]
    clock: Callable[[], float]
    model: ModelInfo | None = None
    unpublished_model: ModelDescription | None = None
    boot_seconds: float | None = None
    boot_phases: dict[str, float] = field(default_factory=dict)
    notice: str | None = None
    fault: str | None = None
    stuck: Callable[[], list[str]] = list
    state: WorkerState = "booting"
    _since: float | None = None
    _written_at: float = float("-inf")
    _written_state: WorkerState | None = None

    def observe(self, state: WorkerState, counts: WorkCounts) -> None:
        now = self.clock()
        if state != self.state:
            self.state, self._since = state, now
        self.metrics.capacity.observe(now, counts.in_flight, counts.handled)
        if now - self._written_at >= self._due_after(state):
            self.write(state, counts)

    def _due_after(self, state: WorkerState) -> float:
        """The age of the last report at which the next one is due, given the current state."""
        if state == self._written_state:
            return self.settings.report_seconds
        flickers = state in _FLICKERING and self._written_state in _FLICKERING
        return self.settings.report_seconds / _REPORTS_PER_INTERVAL if flickers else 0.0

    def note(self, notice: str) -> None:
        self.notice, self._written_state = notice, None

    def write(self, state: WorkerState, counts: WorkCounts) -> None:
        """Write a report now; a failure is logged, and the next report retries soon."""
        now, clock = self.now(), self.clock()
        capacity, busy = self.metrics.capacity.report(clock, counts.handled)
        report = WorkerReport(
            worker=self.identity.worker,
            state=state,
            since=now if self._since is None else now - (clock - self._since),
            reported_at=now,
            started_at=self.identity.started_at,
            boot_seconds=self.boot_seconds,
            host_up_seconds=self.identity.host_up_seconds,
            boot_phases=dict(self.boot_phases),
            in_flight=counts.in_flight,
            handled=counts.handled,
            service_seconds=1 / capacity if capacity else None,
            capacity_per_second=capacity,
            busy_share=busy,
            stage_seconds=self.metrics.stage_means(),
            notice=self.notice,
            stuck="; ".join(self.stuck()) or None,
            fault=self.fault,
            model=self.model,
            version=self.identity.version,
            host=self.identity.host,
        )
        try:
            self.store.put_json(worker_key(self.identity.worker), encode(report))
        except VisionfleetError as error:
            log.warning("report failed", extra={"reason": str(error)})
        else:
            self._written_at, self._written_state = clock, state
        self._publish_model()

    def _publish_model(self) -> None:
        """Publish the model's description once; on a failure try again with each report."""
        if self.unpublished_model is None:
            return
        try:
            self.store.put_json(MODEL_KEY, encode(self.unpublished_model))
        except TryLater as error:
            log.info("model not told", extra={"reason": str(error)})
        except GiveUp as error:  # the IAM role of an earlier release does not allow this key
            log.warning("model not told", extra={"reason": str(error)})
            self.unpublished_model = None
        else:
            self.unpublished_model = None
