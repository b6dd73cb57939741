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
    kept: dict[str, tuple[_T | None, str | None]] = field(default_factory=dict)

    def read(self, workers: Sequence[str], etags: Mapping[str, str]) -> list[_T | None]:
        kept: dict[str, tuple[_T | None, str | None]] = {}
        for worker in workers:
            document = self.document(worker)
            etag = etags.get(document.key)
            kept[worker] = self.kept.get(worker, (None, None)) if etag else (None, None)
            if kept[worker][1] != etag:
                kept[worker] = self.store.read_tagged(document)
        self.kept = kept
        return [kept[worker][0] for worker in workers]


class WorkerReports:
    """One listing per look. Requests are read back: a new scaler knows whom another has asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reports = _WorkerDocuments(store, documents.worker_report)
        self._drain_requests = _WorkerDocuments(store, documents.drain_request)

    def read(self, workers: Sequence[str]) -> list[tuple[WorkerReport | None, float | None]]:
        """Of each its report, and when it was asked to drain, in Unix seconds. Raises TryLater."""
        listed = self._store.listed(FLEET_PREFIX) if workers else []
        etags = {entry.key: entry.etag for entry in listed}
        reports = self._reports.read(workers, etags)
        return list(zip(reports, self._drain_requests.read(workers, etags), strict=True))
