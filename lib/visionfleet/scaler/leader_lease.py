"""The lease in S3: taken, renewed and released by conditional writes."""

from collections.abc import Callable

from visionfleet.aws.s3 import Store
from visionfleet.contract.documents import LEADER_LEASE
from visionfleet.contract.messages import Lease, encode
from visionfleet.scaler import election
from visionfleet.scaler.election import Terms


class LeaderLease:
    """What this scaler knows of the lease. `now` is wall time in seconds.

    S3 takes a write only over the object that was read (`If-Match`), so of two scalers that want
    an expired lease one gets it, and one that slept through its term cannot renew it.
    """

    def __init__(self, store: Store, holder: str, terms: Terms, now: Callable[[], float]) -> None:
        self._store = store
        self._terms = terms
        self._now = now
        self._seen: Lease | None = None
        self._etag: str | None = None
        self._known = False
        self.holder = holder

    @property
    def term(self) -> int:
        """Number of the term, which grows with every new holder; 0 before one is known."""
        return 0 if self._seen is None else self._seen.term

    @property
    def acting(self) -> str:
        """Name the holder, as last seen."""
        return "" if self._seen is None else self._seen.holder

    def attend(self) -> bool:
        """Take or renew the lease when it is time; tells whether we act. Raises TryLater.

        While ours is fresh this asks nobody.
        """
        if not self._known or self.acting != self.holder:
            self._read()
        wish = election.claim(self._seen, self.holder, self._now(), self._terms)
        if wish is not None:
            self._write(wish)
        return self.holds()

    def holds(self) -> bool:
        """Tell whether we may act at this very moment; asked right before each act."""
        return election.holds(self._seen, self.holder, self._now(), self._terms)

    def doubt(self) -> None:
        """Forget the lease: somebody else has written where only its holder writes."""
        self._seen, self._known = None, False

    def release(self) -> None:
        """End our term at once, if it is ours; raises TryLater."""
        seen = self._seen
        if seen is None or seen.holder != self.holder or self._etag is None:
            return
        self._write(election.released(seen, self._now()))

    def _read(self) -> None:
        self._seen, self._etag = self._store.read_tagged(LEADER_LEASE)
        self._known = True

    def _write(self, wish: Lease) -> None:
        """Write, or learn who was quicker. It may be we ourselves: an answer can get lost."""
        etag = self._store.put_json_if(LEADER_LEASE.key, encode(wish), self._etag)
        if etag is None:
            self._read()
        else:
            self._seen, self._etag = wish, etag
