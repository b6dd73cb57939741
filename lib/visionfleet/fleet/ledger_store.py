"""The ledger of launches as an object in S3, written only over the state that was read."""

from visionfleet.aws.s3 import Store
from visionfleet.contract.documents import LAUNCH_LEDGER
from visionfleet.contract.messages import LaunchLedger, encode
from visionfleet.errors import BadMessage, GiveUp, Superseded


class LedgerStore:
    """`fleet/launches.json`; an ETag of None stands for no object."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self) -> tuple[LaunchLedger, str | None]:
        """Read the ledger and its ETag; none is an empty one."""
        found = self._store.find_tagged(LAUNCH_LEDGER.key)
        if found is None:
            return LaunchLedger(), None
        try:
            return LAUNCH_LEDGER.decode(found[0]), found[1]
        except BadMessage as error:  # taken for none, it would let the fleet exceed its maximum
            reason = f"{LAUNCH_LEDGER.key} is unreadable, so nothing is launched: {error}"
            raise GiveUp(reason) from error

    def write(self, ledger: LaunchLedger, etag: str | None) -> str:
        """Write over what has this ETag, return the new one; Superseded when there is another.

        What is there is read in any case: a try that S3 took but did not answer looks lost.
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
