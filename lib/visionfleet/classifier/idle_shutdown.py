"""Decides when a worker without a live scaler shuts its machine down. No I/O here."""

from dataclasses import dataclass

from visionfleet.contract.documents import SCALER_SILENT_SECONDS
from visionfleet.contract.messages import FleetStatus, Lease

# For clock skew between machines, and a scaler that is restarting.
MARGIN_SECONDS = 60.0


@dataclass(slots=True)
class Idleness:
    """`receives` counts receives with messages, so that no job between two samples is missed."""

    _since: float | None = None
    _receives: float = 0

    def observe(self, in_flight: int, receives: float, now: float) -> float:
        """Record a sample; returns the seconds that the worker has been idle (monotonic)."""
        if self._since is None or in_flight or receives != self._receives:
            self._since, self._receives = now, receives
        return now - self._since


def alive_until(lease: Lease | None, status: FleetStatus | None) -> float | None:
    """Until when a scaler counts as alive, by its lease or last status; None without either."""
    if lease is not None:
        return lease.expires_at
    return None if status is None else status.at + SCALER_SILENT_SECONDS


def shut_down_reason(
    idle_seconds: float, limit_seconds: float, alive_until: float | None, now: float
) -> str | None:
    """The reason to shut down, or None: while a scaler is alive, it decides."""
    if idle_seconds < limit_seconds:
        return None
    idle = f"idle for {idle_seconds:.0f} s"
    if alive_until is None:
        return f"{idle}, and no scaler has left a sign of life"
    silent = now - alive_until
    if silent <= MARGIN_SECONDS:
        return None
    return f"{idle}, and the scaler's sign of life expired {silent:.0f} s ago"
