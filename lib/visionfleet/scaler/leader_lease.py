"""The leader lease in S3: acquired, renewed and released by conditional writes."""

from collections.abc import Callable

from visionfleet.aws.s3 import Store
from visionfleet.config.scaler import ScalerSection
from visionfleet.contract.documents import LEADER_LEASE, fault_of_bucket
from visionfleet.contract.messages import Lease, encode
from visionfleet.scaler import election
from visionfleet.scaler.election import NOBODY


class LeaderLease:
    """Writes with `If-Match`, so that only one of two scalers gets the lease.

    `now` is AWS's time; `clock` is monotonic and includes suspend.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        deployment: str,
        settings: ScalerSection,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._store, self.name, self._settings = store, name, settings
        self._deployment = deployment
        self._now, self._clock = now, clock
        self.seen: Lease = NOBODY
        self._etag: str | None = None
        self._ends_at: float | None = None  # on the monotonic clock

    def renew(self) -> bool:
        """Acquire or renew the lease when due; whether this scaler may act. Raises TryLater."""
        if self.seen.holder != self.name:
            self._read()
        seconds = self._settings.lease_seconds
        wanted = election.claim(self.seen, self.name, self._left(), self._now(), seconds)
        if wanted is not None:
            self._write(wanted)
        return self.holds()

    def fault(self) -> str | None:
        """Why this scaler will never hold the lease."""
        return fault_of_bucket(self._deployment, self.seen.deployment)

    def holds(self) -> bool:
        margin = self._settings.lease_margin_seconds
        return election.holds(self.seen, self.name, self._left(), margin)

    def forget(self) -> None:
        """Forget the lease after a conflicting write: another scaler holds it."""
        self.seen = NOBODY

    def release(self) -> None:
        """End the lease now, if it is ours; raises TryLater."""
        if self.seen.holder == self.name and self._etag is not None:
            self._write(election.released(self.seen, self._now()))

    def _left(self) -> float:
        return 0.0 if self._ends_at is None else self._ends_at - self._clock()

    def _read(self) -> None:
        seen, etag = self._store.read_tagged(LEADER_LEASE)
        self.seen = seen or NOBODY
        # Reading our own lease does not extend it: it counts from our write.
        if etag != self._etag and self.seen.holder != self.name:
            age = self._age() if self._ends_at is None else 0.0
            self._ends_at = self._clock() + self._duration(seen) - age
        self._etag = etag

    def _age(self) -> float:
        """Age of the lease by S3's clock, for one that was written before this process started."""
        stat = self._store.find_stat(LEADER_LEASE.key)
        return 0.0 if stat is None else max(0.0, stat.age_seconds)

    def _duration(self, seen: Lease | None) -> float:
        """The lease's duration; earlier releases do not write it."""
        if seen is None or not seen.holder:
            return 0.0
        return self._settings.lease_seconds if seen.seconds is None else seen.seconds

    def _write(self, wanted: Lease) -> None:
        """Write conditionally, or read who was first: perhaps this scaler, without an answer."""
        began = self._clock()
        wanted = wanted.model_copy(update={"deployment": self._deployment})
        etag = self._store.put_json_if(LEADER_LEASE.key, encode(wanted), self._etag)
        if etag is None:
            self._read()
        else:
            self.seen, self._etag = wanted, etag
            self._ends_at = began + self._duration(wanted)
