"""Who acts: what to write for the lease that was seen, and whether it lets us act. No I/O here.

The holder stops `margin_seconds` before its lease expires, and nobody takes the lease before it
has. So two scalers never act at once while their clocks differ by less than the margin.
"""

from dataclasses import dataclass

from visionfleet.contract.messages import Lease

# Renewed when this share is left: 60 s means one write in 40 s, and 20 s for further tries.
RENEW_SHARE = 1 / 3


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long a lease is taken, and how long before its end its holder stops."""

    lease_seconds: float
    margin_seconds: float


def claim(seen: Lease | None, holder: str, now: float, terms: Terms) -> Lease | None:
    """Make the lease to write now; None while ours is fresh, or another's is alive."""
    expires_at = now + terms.lease_seconds
    if seen is None:
        return Lease(holder=holder, expires_at=expires_at, term=1)
    left = seen.expires_at - now
    if seen.holder == holder:
        # More than a whole lease is left: the clock was set back.
        fresh = terms.lease_seconds * RENEW_SHARE < left <= terms.lease_seconds
        return None if fresh else seen.model_copy(update={"expires_at": expires_at})
    if left > 0:
        return None
    return Lease(holder=holder, expires_at=expires_at, term=seen.term + 1)


def holds(seen: Lease | None, holder: str, now: float, terms: Terms) -> bool:
    """Tell whether this lease lets us act now."""
    if seen is None or seen.holder != holder:
        return False
    return now < seen.expires_at - terms.margin_seconds


def released(seen: Lease, now: float) -> Lease:
    """End a lease, so that the next scaler need not wait."""
    return seen.model_copy(update={"expires_at": min(now, seen.expires_at)})
