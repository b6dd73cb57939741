"""Consecutive failed starts, and the backoff before the next one. No I/O here."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

Start = tuple[str, float]  # name and launch time

# More than a few failures in a row: then one start at a time, with backoff.
AT_ONCE = 3
_FIRST_WAIT_SECONDS = 15.0
_LONGEST_WAIT_SECONDS = 300.0
_LONGEST_LIMIT = 8  # multiples of the boot limit


@dataclass(frozen=True, slots=True)
class FailedStarts:
    """Failures since a worker last became ready.

    `rounds` counts the observations with new failures, `timed_out` the timeouts among them; `fault`
    is the last reason. `known` and `up` are the failed and the working workers of the last
    observation.
    """

    count: int = 0
    rounds: int = 0
    timed_out: int = 0
    last_at: float = 0.0
    fault: str = ""
    known: frozenset[Start] = frozenset()
    up: frozenset[Start] = frozenset()

    @property
    def retry_at(self) -> float:
        if self.count < AT_ONCE:
            return 0.0
        wait = _FIRST_WAIT_SECONDS * (1 << min(self.rounds - 1, 10))
        return self.last_at + min(wait, _LONGEST_WAIT_SECONDS)

    @property
    def limit_factor(self) -> int:
        """The factor on the boot limit: doubled by each timeout."""
        return min(1 << self.timed_out, _LONGEST_LIMIT)

    def allowed(self, wanted: int, booting: bool, now: float) -> int:
        if self.count < AT_ONCE:
            return wanted
        return min(wanted, 1) if now >= self.retry_at and not booting else 0


def updated(
    before: FailedStarts,
    failed: Mapping[Start, str],
    timed_out: int,
    up: Set[Start],
    now: float,
) -> FailedStarts:
    """Record an observation: failed starts with their reasons, how many timed out, who is up."""
    new = failed.keys() - before.known
    if up - before.up:  # a worker became ready
        before = FailedStarts()
    seen = replace(before, known=frozenset(failed), up=frozenset(up))
    if not new:
        return seen
    return replace(
        seen,
        count=before.count + len(new),
        rounds=before.rounds + 1,
        timed_out=before.timed_out + timed_out,
        last_at=now,
        fault=next((failed[start] for start in sorted(new) if failed[start]), before.fault),
    )
