"""The fleet status in S3; its history survives restarts of the scaler."""

from visionfleet.aws.s3 import Store
from visionfleet.contract.documents import STATUS
from visionfleet.contract.messages import FleetStatus, encode
from visionfleet.scaler.status import worth_writing

STATUS_SECONDS = 60.0  # an unchanged status is rewritten, as a heartbeat


class StatusStore:
    """Conditional writes: a scaler that lost its lease cannot overwrite its successor's status."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._etag: str | None = None
        self._written: FleetStatus | None = None
        self.status: FleetStatus | None = None

    def restore(self) -> FleetStatus | None:
        self._written = None
        self.status, self._etag = self._store.read_tagged(STATUS)
        return self.status

    def keep(self, status: FleetStatus) -> bool:
        """Write the status if it is worth a call; False if another scaler has written one."""
        self.status = status
        if not worth_writing(status, self._written, STATUS_SECONDS):
            return True
        etag = self._store.put_json_if(STATUS.key, encode(status), self._etag)
        if etag is None:
            return False
        self._etag, self._written = etag, status
        return True
