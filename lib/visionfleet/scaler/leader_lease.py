"""The lease in S3: taken, renewed and released by conditional writes."""

from collections.abc import Callable

from visionfleet.aws.s3 import Store
from visionfleet.config.scaler import ScalerSection
from visionfleet.contract.documents import LEADER_LEASE
from visionfleet.contract.messages import Lease, encode
from visionfleet.scaler import election
from visionfleet.scaler.election import NOBODY


class LeaderLease:
    """S3 takes a write only over what was read (`If-Match`): of two scalers, one gets the lease.

    `now` is AWS's time; `clock` is monotonic and goes on while the machine is suspended.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        settings: ScalerSection,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._store, self.name, self._settings = store, name, settings
        self._now, self._clock = now, clock
        self.seen: Lease = NOBODY
        self._etag: str | None = None
        self._ends_at: float | None = None  # by the clock

    def renew(self) -> bool:
        """Take or renew the lease when it is time; tells whether we act. Raises TryLater."""
        if self.seen.holder != self.name:
            self._read()
        seconds = self._settings.lease_seconds
        wanted = election.claim(self.seen, self.name, self._left(), self._now(), seconds)
        if wanted is not None:
            self._write(wanted)
        return self.holds()

    def holds(self) -> bool:
        margin = self._settings.lease_margin_seconds
        return election.holds(self.seen, self.name, self._left(), margin)

    def forget(self) -> None:
        """Forget the lease: somebody else has written where only its holder writes."""
        self.seen = NOBODY

    def release(self) -> None:
        """End our term at once, if it is ours; raises TryLater."""
        if self.seen.holder == self.name and self._etag is not None:
            self._write(election.released(self.seen, self._now()))

    def _left(self) -> float:
        return 0.0 if self._ends_at is None else self._ends_at - self._clock()

    def _read(self) -> None:
        seen, etag = self._store.read_tagged(LEADER_LEASE)
        self.seen = seen or NOBODY
        # Of ours only we know when we wrote it: to see it again makes it no longer.
        if etag != self._etag and self.seen.holder != self.name:
            age = self._age() if self._ends_at is None else 0.0
            self._ends_at = self._clock() + self._lasts(seen) - age
        self._etag = etag

    def _age(self) -> float:
        """Tell, by S3's clock, how old the lease was when it was first seen, as after a start."""
        stat = self._store.find_stat(LEADER_LEASE.key)
        return 0.0 if stat is None else max(0.0, stat.age_seconds)

    def _lasts(self, seen: Lease | None) -> float:
        """Tell for how long a lease is given; those of earlier releases do not say it."""
        if seen is None or not seen.holder:
            return 0.0
        return self._settings.lease_seconds if seen.seconds is None else seen.seconds

    def _write(self, wanted: Lease) -> None:
        """Write, or learn who was quicker. It may be we ourselves: an answer can get lost."""
        began = self._clock()
        etag = self._store.put_json_if(LEADER_LEASE.key, encode(wanted), self._etag)
        if etag is None:
            self._read()
        else:
            self.seen, self._etag = wanted, etag
            self._ends_at = began + self._lasts(wanted)
