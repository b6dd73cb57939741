"""Who acts: what to write for the lease that was seen, and whether it lets us act. No I/O here.

The holder stops some seconds, the margin, before its lease expires, and nobody takes the lease
before it has. So two scalers never act at once while their clocks differ by less than the margin.
"""

from visionfleet.contract.messages import Lease

NOBODY = Lease(holder="", expires_at=0.0, term=0)
# Renewed when this share is left: 60 s means one write in 40 s, and 20 s for further tries.
RENEW_SHARE = 1 / 3


def claim(seen: Lease, name: str, now: float, lease_seconds: float) -> Lease | None:
    """Make the lease to write now; None while ours is fresh, or another's is alive."""
    left = seen.expires_at - now
    if seen.holder == name:
        # More than a whole lease is left: the clock was set back.
        fresh = lease_seconds * RENEW_SHARE < left <= lease_seconds
        return None if fresh else seen.model_copy(update={"expires_at": now + lease_seconds})
    if left > 0:
        return None
    return Lease(holder=name, expires_at=now + lease_seconds, term=seen.term + 1)


def holds(seen: Lease, name: str, now: float, margin_seconds: float) -> bool:
    return seen.holder == name and now < seen.expires_at - margin_seconds


def released(seen: Lease, now: float) -> Lease:
    return seen.model_copy(update={"expires_at": min(now, seen.expires_at)})
