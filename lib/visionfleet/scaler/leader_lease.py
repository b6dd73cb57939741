"""The lease in S3: taken, renewed and released by conditional writes."""

from collections.abc import Callable

from visionfleet.aws.s3 import Store
from visionfleet.config.scaler import ScalerSection
from visionfleet.contract.documents import LEADER_LEASE
from visionfleet.contract.messages import Lease, encode
from visionfleet.scaler import election
from visionfleet.scaler.election import NOBODY


class LeaderLease:
    """S3 takes a write only over what was read (`If-Match`): of two scalers, one gets the lease."""

    def __init__(
        self, store: Store, name: str, settings: ScalerSection, now: Callable[[], float]
    ) -> None:
        self._store, self.name, self._settings, self._now = store, name, settings, now
        self.seen: Lease = NOBODY
        self._etag: str | None = None

    def renew(self) -> bool:
        """Take or renew the lease when it is time; tells whether we act. Raises TryLater."""
        if self.seen.holder != self.name:
            self._read()
        wanted = election.claim(self.seen, self.name, self._now(), self._settings.lease_seconds)
        if wanted is not None:
            self._write(wanted)
        return self.holds()

    def holds(self) -> bool:
        margin = self._settings.lease_margin_seconds
        return election.holds(self.seen, self.name, self._now(), margin)

    def forget(self) -> None:
        """Forget the lease: somebody else has written where only its holder writes."""
        self.seen = NOBODY

    def release(self) -> None:
        """End our term at once, if it is ours; raises TryLater."""
        if self.seen.holder == self.name and self._etag is not None:
            self._write(election.released(self.seen, self._now()))

    def _read(self) -> None:
        seen, self._etag = self._store.read_tagged(LEADER_LEASE)
        self.seen = seen or NOBODY

    def _write(self, wanted: Lease) -> None:
        """Write, or learn who was quicker. It may be we ourselves: an answer can get lost."""
        etag = self._store.put_json_if(LEADER_LEASE.key, encode(wanted), self._etag)
        if etag is None:
            self._read()
        else:
            self.seen, self._etag = wanted, etag
