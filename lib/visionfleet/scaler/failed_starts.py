"""Starts of workers that failed, in a row, and how long to wait for the next one. No I/O here."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

Life = tuple[str, float]  # name and start: a worker that is started again has another

# So many may be bad luck, or one bad place; after them starts are tried one at a time, and rarely.
AT_ONCE = 3
_FIRST_WAIT_SECONDS = 15.0
_LONGEST_WAIT_SECONDS = 300.0
_LONGEST_LIMIT = 8  # times the boot limit


@dataclass(frozen=True, slots=True)
class FailedStarts:
    """Those since a worker last came up: how many, in how many looks, how many of them for the boot
    limit, when the last was seen, and what was said of it. `known` and `up` are the lives that the
    last look found failed and at work.
    """

    count: int = 0
    looks: int = 0
    cut_off: int = 0
    last_at: float = 0.0
    fault: str = ""
    known: frozenset[Life] = frozenset()
    up: frozenset[Life] = frozenset()

    @property
    def retry_at(self) -> float:
        """When the next start may be tried."""
        if self.count < AT_ONCE:
            return 0.0
        wait = _FIRST_WAIT_SECONDS * (1 << min(self.looks - 1, 10))
        return self.last_at + min(wait, _LONGEST_WAIT_SECONDS)

    @property
    def patience(self) -> int:
        """How many times as long a start may take: twice for each that was cut off."""
        return min(1 << self.cut_off, _LONGEST_LIMIT)

    def allowed(self, wanted: int, booting: bool, now: float) -> int:
        """Of the starts that are wanted, those to try now."""
        if self.count < AT_ONCE:
            return wanted
        return min(wanted, 1) if now >= self.retry_at and not booting else 0


def noted(
    before: FailedStarts,
    failed: Mapping[Life, str],
    cut_off: int,
    up: Set[Life],
    now: float,
) -> FailedStarts:
    """Take note of a look: whose start has failed, and why, how many of them were too slow, and who
    is at work.
    """
    new = failed.keys() - before.known
    if up - before.up:  # somebody came up
        before = FailedStarts()
    seen = replace(before, known=frozenset(failed), up=frozenset(up))
    if not new:
        return seen
    return replace(
        seen,
        count=before.count + len(new),
        looks=before.looks + 1,
        cut_off=before.cut_off + cut_off,
        last_at=now,
        fault=next((failed[life] for life in sorted(new) if failed[life]), before.fault),
    )
