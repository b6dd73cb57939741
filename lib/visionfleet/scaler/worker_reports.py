"""What workers report and what they were asked, read from S3 only where it has changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from visionfleet.aws.s3 import Store
from visionfleet.contract import documents
from visionfleet.contract.documents import Document
from visionfleet.contract.messages import WorkerReport
from visionfleet.contract.names import FLEET_PREFIX

_T = TypeVar("_T")


@dataclass(slots=True)
class _WorkerDocuments(Generic[_T]):
    """One document of each worker, with its ETag; None is one that cannot be read."""

    store: Store
    document: Callable[[str], Document[_T]]
    kept: dict[str, tuple[str | None, _T | None]] = field(default_factory=dict)

    def update(self, workers: Sequence[str], etags: Mapping[str, str]) -> None:
        kept: dict[str, tuple[str | None, _T | None]] = {}
        for worker in workers:
            document = self.document(worker)
            etag = etags.get(document.key)
            if etag is None:
                continue
            if worker in self.kept and self.kept[worker][0] == etag:
                kept[worker] = self.kept[worker]
            else:
                value, read_etag = self.store.read_tagged(document)
                kept[worker] = (read_etag, value)
        self.kept = kept

    def get(self, worker: str) -> _T | None:
        return self.kept[worker][1] if worker in self.kept else None


class WorkerReports:
    """One listing per look. Requests are read back: a new scaler knows whom another has asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reports = _WorkerDocuments(store, documents.worker_report)
        self._drain_requests = _WorkerDocuments(store, documents.drain_request)

    def update(self, workers: Sequence[str]) -> None:
        """Read what is new of these workers; without any, ask nobody. Raises TryLater."""
        listed = self._store.listed(FLEET_PREFIX) if workers else []
        etags = {entry.key: entry.etag for entry in listed}
        self._reports.update(workers, etags)
        self._drain_requests.update(workers, etags)

    def report(self, worker: str) -> WorkerReport | None:
        return self._reports.get(worker)

    def asked_at(self, worker: str) -> float | None:
        """When a worker was asked to drain, as of the last update."""
        return self._drain_requests.get(worker)
