"""The fleet's status in S3: its history survives the process that wrote it."""

import logging

from visionfleet.aws.s3 import Store
from visionfleet.contract.messages import FleetStatus, decode_status, encode
from visionfleet.contract.names import STATUS_KEY
from visionfleet.errors import BadMessage
from visionfleet.scaler.status import worth_writing

log = logging.getLogger("scaler")

STATUS_SECONDS = 60.0  # an unchanged status is written this often, as a sign of life


class StatusStore:
    """The status as it was read or written last.

    Written only over what was read or written by us: a scaler that lost its lease without
    noticing cannot overwrite what its successor says.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._etag: str | None = None
        self._written: FleetStatus | None = None
        self.status: FleetStatus | None = None

    def restore(self) -> FleetStatus | None:
        """Read what the last scaler left; raises TryLater."""
        found = self._store.find_tagged(STATUS_KEY)
        self._written = None
        self.status, self._etag = (None, None) if found is None else (_decoded(found[0]), found[1])
        return self.status

    def keep(self, status: FleetStatus) -> bool:
        """Take a new status and write it when that is worth a call; False when it is not ours."""
        self.status = status
        if not worth_writing(status, self._written, STATUS_SECONDS):
            return True
        etag = self._store.put_json_if(STATUS_KEY, encode(status), self._etag)
        if etag is None:
            return False
        self._etag, self._written = etag, status
        return True


def _decoded(body: bytes) -> FleetStatus | None:
    try:
        return decode_status(body.decode())
    except (BadMessage, UnicodeDecodeError) as error:
        log.warning("status unreadable, begun anew", extra={"reason": str(error)})
        return None
