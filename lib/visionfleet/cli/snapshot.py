"""One look at a deployment through S3 and SQS, as any observer can take it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from visionfleet.aws.clients import client_factory
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Counts, Queue
from visionfleet.contract import documents, names
from visionfleet.contract.messages import FleetStatus, WorkerReport
from visionfleet.errors import NotFound

if TYPE_CHECKING:
    from visionfleet.config import Config


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen: `status` is None before a scaler has written one."""

    counts: Counts
    dead: int
    status: FleetStatus | None
    workers: tuple[WorkerReport, ...]


class Observer:
    """Looks at one deployment, again and again; reads only."""

    def __init__(self, config: "Config") -> None:
        clients = client_factory(config.aws)
        sqs = clients.client("sqs")
        self._store = Store(clients.client("s3"), config.storage.output_bucket)
        try:
            self._requests = Queue(sqs, names.requests_queue(config.name))
            self._dead = Queue(sqs, names.dead_queue(config.name))
        except NotFound as error:
            raise NotFound(f"{error}; `visionfleet provision` makes it") from error

    def look(self) -> Look:
        """Read everything once; raises TryLater."""
        dead = self._dead.counts()
        return Look(
            counts=self._requests.counts(),
            dead=dead.visible + dead.in_flight,
            status=self.status(),
            workers=tuple(self._reports()),
        )

    def status(self) -> FleetStatus | None:
        """Read what the scaler wrote; None when there is nothing that can be read."""
        return self._store.read(documents.STATUS)

    def _reports(self) -> list[WorkerReport]:
        workers = filter(None, map(names.reporting_worker, self._store.keys(names.WORKERS_PREFIX)))
        found = (self._store.read(documents.worker_report(worker)) for worker in sorted(workers))
        return [report for report in found if report is not None]
