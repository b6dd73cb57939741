"""Leader election by a lease: what to write, and whether this scaler may act. No I/O here.

Each scaler measures the remaining time on its own monotonic clock: the holder from before its
write, the others from when they first saw it. So the lease ends for the holder first, plus a
margin, whatever the hosts' wall clocks say.
"""

from visionfleet.contract.messages import Lease

NOBODY = Lease(holder="", expires_at=0.0, term=0)
# Renewed when this share is left: 60 s means a write every 40 s, with 20 s for retries.
RENEW_SHARE = 1 / 3


def claim(seen: Lease, name: str, left: float, now: float, lease_seconds: float) -> Lease | None:
    """The lease to write now; None while ours is fresh or another's is valid.

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
