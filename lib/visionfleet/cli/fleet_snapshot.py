"""A deployment as the admin commands see it: queues, buckets, and a snapshot of their state."""

from dataclasses import dataclass

from visionfleet.aws.clients import client_factory
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Counts, Queue
from visionfleet.aws.sqs_move_tasks import MoveTasks
from visionfleet.config import Config
from visionfleet.contract import documents, names
from visionfleet.contract.messages import FleetStatus, WorkerReport
from visionfleet.errors import NotFound


@dataclass(frozen=True, slots=True)
class Snapshot:
    counts: Counts
    dead_letters: int
    status: FleetStatus | None
    workers: tuple[WorkerReport, ...]
    deployment: str

    def fault_of_bucket(self) -> str | None:
        seen = self.status.deployment if self.status else ""
        return documents.fault_of_bucket(self.deployment, seen)


class Deployment:
    """Raises NotFound without its queues. `now` is AWS's time, after the first response."""

    def __init__(self, config: Config) -> None:
        clients = client_factory(config.aws)
        self.now = clients.clock
        self.name = config.name
        s3, self._sqs = clients.client("s3"), clients.client("sqs")
        self.uploads = Store(s3, config.storage.input_bucket)
        self.results = Store(s3, config.storage.output_bucket)
        try:
            self.requests = Queue(self._sqs, names.requests_queue(config.name))
            self.dead = Queue(self._sqs, names.dead_queue(config.name))
        except NotFound as error:
            raise NotFound(f"{error}; `visionfleet provision` makes it") from error

    def snapshot(self) -> Snapshot:
        keys = self.results.keys(names.WORKERS_PREFIX)
        reports = documents.worker_reports(keys, self.results.read)
        return Snapshot(
            counts=self.requests.counts(),
            dead_letters=self.dead_letters(),
            status=self.status(),
            workers=tuple(sorted(reports, key=lambda report: report.worker)),
            deployment=self.name,
        )

    def dead_letters(self) -> int:
        counts = self.dead.counts()
        return counts.visible + counts.in_flight

    def status(self) -> FleetStatus | None:
        return self.results.read(documents.STATUS)

    def move_tasks(self) -> MoveTasks:
        return MoveTasks(self._sqs, self.dead.arn(), self.requests.arn())
