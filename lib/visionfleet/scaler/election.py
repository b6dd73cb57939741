"""Who acts: what to write for the lease that was seen, and whether it lets us act. No I/O here.

Each scaler counts by its own monotonic clock how much of a lease is left: its holder from before it
wrote it, all others from when they saw it. So it has ended for the holder first, by a margin more,
whatever time any host takes it to be.
"""

from visionfleet.contract.messages import Lease

NOBODY = Lease(holder="", expires_at=0.0, term=0)
# Renewed when this share is left: 60 s means one write in 40 s, and 20 s for further tries.
RENEW_SHARE = 1 / 3


def claim(seen: Lease, name: str, left: float, now: float, lease_seconds: float) -> Lease | None:
    """Make the lease to write now; None while ours is fresh, or another's is alive.

    `left` is in seconds; `now` is AWS's time, which workers compare with.
    """
    if seen.holder == name:
        term = seen.term
        if left > lease_seconds * RENEW_SHARE:
            return None
    elif left > 0:
        return None
    else:
        term = seen.term + 1
    return Lease(holder=name, expires_at=now + lease_seconds, term=term, seconds=lease_seconds)


def holds(seen: Lease, name: str, left: float, margin_seconds: float) -> bool:
    return seen.holder == name and left > margin_seconds


def released(seen: Lease, now: float) -> Lease:
    return seen.model_copy(update={"expires_at": min(now, seen.expires_at), "seconds": 0.0})
