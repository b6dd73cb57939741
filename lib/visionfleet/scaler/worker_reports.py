"""Worker reports and drain requests, re-read from S3 only when their ETag changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from visionfleet.aws.s3 import Store
from visionfleet.contract import documents
from visionfleet.contract.documents import Document
from visionfleet.contract.names import FLEET_PREFIX
from visionfleet.scaler.incarnations import SeenReport

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[_T]):
    """A cached document with its ETag; a value of None was unreadable."""

    value: _T | None = None
    etag: str | None = None
    seen_at: float = 0.0


@dataclass(slots=True)
class _WorkerDocuments(Generic[_T]):
    store: Store
    document: Callable[[str], Document[_T]]
    kept: dict[str, _Kept[_T]] = field(default_factory=dict)

    def read(self, workers: Sequence[str], etags: Mapping[str, str], now: float) -> list[_Kept[_T]]:
        kept: dict[str, _Kept[_T]] = {}
        for worker in workers:
            document = self.document(worker)
            etag = etags.get(document.key)
            kept[worker] = self.kept.get(worker, _Kept()) if etag else _Kept()
            if kept[worker].etag != etag:
                kept[worker] = _Kept(*self.store.read_tagged(document), now)
        self.kept = kept
        return [kept[worker] for worker in workers]


class WorkerReports:
    """Lists once per observation. An earlier scaler may have made drain requests."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reports = _WorkerDocuments(store, documents.worker_report)
        self._drain_requests = _WorkerDocuments(store, documents.drain_request)

    def read(self, workers: Sequence[str], now: float) -> list[SeenReport]:
        """Each worker's report and drain request. Raises TryLater."""
        listed = self._store.listed(FLEET_PREFIX) if workers else []
        etags = {entry.key: entry.etag for entry in listed}
        reports = self._reports.read(workers, etags, now)
        asked = self._drain_requests.read(workers, etags, now)
        return [
            SeenReport(report.value, report.seen_at, None if ask.value is None else ask.seen_at)
            for report, ask in zip(reports, asked, strict=True)
        ]
