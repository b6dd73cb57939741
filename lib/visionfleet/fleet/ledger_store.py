"""The ledger of launches as an object in S3, written only over the state that was read."""

from visionfleet.aws.s3 import Store
from visionfleet.contract.messages import LaunchLedger, decode_launches, encode
from visionfleet.contract.names import LAUNCHES_KEY
from visionfleet.errors import BadMessage, GiveUp, NotFound, Superseded


class LedgerObject:
    """`fleet/launches.json`; an ETag of None stands for no object."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self) -> tuple[LaunchLedger, str | None]:
        """Read the ledger and its ETag; none is an empty one."""
        try:
            body, etag = self._store.get_tagged(LAUNCHES_KEY)
        except NotFound:
            return LaunchLedger(), None
        try:
            return decode_launches(body.decode()), etag
        except (BadMessage, UnicodeDecodeError) as error:
            raise GiveUp(
                f"{LAUNCHES_KEY} is unreadable, so nothing is launched: {error}"
            ) from error

    def write(self, ledger: LaunchLedger, etag: str | None) -> str:
        """Write the ledger over the one with this ETag, and return the new one.

        Raises Superseded when another was written. What is there is read in any case: a try that
        S3 took but did not answer makes the next try look lost.
        """
        text = encode(ledger)
        if etag is None:
            self._store.put_json_first(LAUNCHES_KEY, text)
        else:
            self._store.put_json_over(LAUNCHES_KEY, text, etag)
        try:
            body, written = self._store.get_tagged(LAUNCHES_KEY)
        except NotFound as error:
            raise Superseded(f"{LAUNCHES_KEY} was removed") from error
        if body != text.encode():
            raise Superseded("another scaler has launched meanwhile")
        return written
