"""The launch ledger as an object in S3, changed by conditional writes."""

from visionfleet.aws.s3 import Store
from visionfleet.contract.documents import LAUNCH_LEDGER
from visionfleet.contract.messages import LaunchLedger, encode
from visionfleet.errors import BadMessage, GiveUp, Superseded


class LedgerStore:
    """`fleet/launches.json`; an ETag of None means that there is no object."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self) -> tuple[LaunchLedger, str | None]:
        """The ledger and its ETag; empty if there is no object."""
        found = self._store.find_tagged(LAUNCH_LEDGER.key)
        if found is None:
            return LaunchLedger(), None
        try:
            return LAUNCH_LEDGER.decode(found[0]), found[1]
        except BadMessage as error:  # treating it as empty could exceed the maximum
            reason = f"{LAUNCH_LEDGER.key} is unreadable, so nothing is launched: {error}"
            raise GiveUp(reason) from error

    def write(self, ledger: LaunchLedger, etag: str | None) -> str:
        """Write over the given ETag, return the new one; Superseded if the ledger has changed.

        Read back in any case: a write whose response was lost looks like a conflict.
        """
        text = encode(ledger)
        self._store.put_json_if(LAUNCH_LEDGER.key, text, etag)
        found = self._store.find_tagged(LAUNCH_LEDGER.key)
        if found is None:
            raise Superseded(f"{LAUNCH_LEDGER.key} was removed")
        body, written = found
        if body != text.encode():
            raise Superseded("another scaler has launched meanwhile")
        return written
