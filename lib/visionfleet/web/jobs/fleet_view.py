"""Fleet status and worker reports, cached for all requests."""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from visionfleet.aws.s3 import Store
from visionfleet.config.constraints import MODEL_TRUST_SECONDS
from visionfleet.contract import documents, names
from visionfleet.contract.messages import ModelInfo, WorkerReport
from visionfleet.contract.model_description import ModelDescription
from visionfleet.errors import BadMessage, VisionfleetError
from visionfleet.web.jobs.active_model import ActiveModel
from visionfleet.web.jobs.submission import Threads

log = logging.getLogger("web")

STATUS_SECONDS = 1.0
REPORTS_SECONDS = 10.0


@dataclass(slots=True)
class FleetView:
    """`clock` is monotonic, `now` is wall time; both in seconds."""

    results: Store
    threads: Threads
    clock: Callable[[], float]
    now: Callable[[], float]
    active_model: ActiveModel = field(default_factory=lambda: ActiveModel(MODEL_TRUST_SECONDS))
    _documents: dict[str, tuple[float, bytes | None]] = field(default_factory=dict)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _reports: list[WorkerReport] = field(default_factory=list)
    _reports_read_at: float | None = None

    async def status(self) -> bytes | None:
        """The scaler's last status, None if there is none; raises Refusal."""
        return await self._document(names.STATUS_KEY, STATUS_SECONDS)

    async def model_description(self) -> ModelDescription | None:
        """The workers' model description, None if there is none; raises Refusal."""
        found = await self._document(names.MODEL_KEY, REPORTS_SECONDS)
        try:
            return documents.MODEL.decode(found or b"")
        except BadMessage:
            return None

    async def _document(self, key: str, fresh_seconds: float) -> bytes | None:
        async with self._reading:
            read_at, found = self._documents.get(key, (-math.inf, None))
            # Missing objects are not cached: they may appear at any moment.
            if self.clock() - read_at >= (STATUS_SECONDS if found is None else fresh_seconds):
                reason, find = f"{key} cannot be read now", self.results.find
                found = await self.threads.call("fleet", reason, "", find, key)
                self._documents[key] = (self.clock(), found)
            return found

    async def reports(self) -> list[WorkerReport]:
        """The workers' reports; the cached ones while AWS fails."""
        read_at, now = self._reports_read_at, self.clock()
        if read_at is None or now - read_at >= REPORTS_SECONDS:
            self._reports_read_at = now
            try:
                self._reports = await self.threads.run("reports", self._read_reports)
            except VisionfleetError as error:
                log.debug("reports not read", extra={"reason": str(error)})
        return self._reports

    async def model(self) -> ModelInfo | None:
        for report in await self.reports():
            if report.model is not None:
                self.active_model.note(report.model, report.reported_at)
        return self.active_model.current(self.now())

    def _read_reports(self) -> list[WorkerReport]:
        keys = self.results.keys(names.WORKERS_PREFIX)
        return documents.worker_reports(keys, self.results.read)
