"""What workers report and what they were asked, read from S3 only where it has changed."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from visionfleet.aws.s3 import Store
from visionfleet.contract.messages import WorkerReport, decode_report
from visionfleet.contract.names import FLEET_PREFIX, drain_key, worker_key
from visionfleet.errors import BadMessage

log = logging.getLogger("scaler")

_T = TypeVar("_T")


@dataclass(slots=True)
class _Shelf(Generic[_T]):
    """Decoded objects by key, each with its ETag; None is one that cannot be read."""

    store: Store
    decode: Callable[[str], _T]
    kept: dict[str, tuple[str, _T | None]] = field(default_factory=dict)

    def update(self, etags: Mapping[str, str]) -> None:
        """Keep these objects and no others; those with a new ETag are read."""
        kept = {key: self.kept[key] for key in etags.keys() & self.kept.keys()}
        for key, etag in etags.items():
            if key not in kept or kept[key][0] != etag:
                found = self.store.find_tagged(key)
                if found is None:  # removed since the listing
                    kept.pop(key, None)
                else:
                    kept[key] = (found[1], self._decoded(key, found[0]))
        self.kept = kept

    def get(self, key: str) -> _T | None:
        return self.kept[key][1] if key in self.kept else None

    def _decoded(self, key: str, body: bytes) -> _T | None:
        try:
            return self.decode(body.decode())
        except (BadMessage, ValueError) as error:
            log.warning("unreadable", extra={"key": key, "reason": str(error)})
            return None


class WorkerReports:
    """Reports and drain wishes of the members: one listing per look, and what is new in it.

    Wishes are read back from S3, so a scaler that starts anew knows whom another has asked.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reports = _Shelf(store, decode_report)
        self._wishes = _Shelf(store, float)

    def look(self, names: Iterable[str]) -> None:
        """Read what is new of these workers; without any, ask nobody. Raises TryLater."""
        names = list(names)
        listed = self._store.listed(FLEET_PREFIX) if names else []
        etags = {entry.key: entry.etag for entry in listed}
        self._reports.update(_of(etags, map(worker_key, names)))
        self._wishes.update(_of(etags, map(drain_key, names)))

    def report(self, name: str) -> WorkerReport | None:
        """What a worker said last of itself, as of the last look."""
        return self._reports.get(worker_key(name))

    def asked_at(self, name: str) -> float | None:
        """When a worker was asked to drain, as of the last look."""
        return self._wishes.get(drain_key(name))


def _of(etags: Mapping[str, str], keys: Iterable[str]) -> dict[str, str]:
    return {key: etags[key] for key in keys if key in etags}
