"""Spot interruption notices and rebalance recommendations, from EC2's instance metadata."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from visionfleet.aws.imds import Metadata
from visionfleet.errors import TryLater

log = logging.getLogger("classifier")
# AWS recommends polling every 5 s: the notice comes two minutes ahead.
POLL_SECONDS = 5.0
# Back off when the metadata service fails, but keep most of a notice's two minutes.
MOST_SECONDS = 40.0
INTERRUPTION = "/latest/meta-data/spot/instance-action"
REBALANCE = "/latest/meta-data/events/recommendations/rebalance"
_FAILURES_TO_WARN = 3


@dataclass(frozen=True, slots=True)
class Notice:
    kind: Literal["interruption", "rebalance"]
    sentence: str


class Interruptions:
    """Polls for notices. Errors are logged quietly: most machines are not spot instances."""

    def __init__(self, metadata: Metadata, clock: Callable[[], float]) -> None:
        self._metadata, self._clock = metadata, clock
        self._reported: set[Notice] = set()
        self._failures = 0
        self._ask_again_at = clock()

    def look(self) -> list[Notice]:
        """Return new notices; empty while backing off."""
        if self._clock() < self._ask_again_at:
            return []
        fresh: list[Notice] = []
        try:
            for notice in _notices(self._metadata):
                if notice not in self._reported:
                    self._reported.add(notice)
                    fresh.append(notice)
        except TryLater as error:
            self._failed(str(error))
        else:
            self._failures = 0
        return fresh

    def _failed(self, reason: str) -> None:
        self._failures += 1
        wait = min(MOST_SECONDS, POLL_SECONDS * 2 ** min(self._failures, 10))
        self._ask_again_at = self._clock() + wait
        level = logging.WARNING if self._failures == _FAILURES_TO_WARN else logging.DEBUG
        log.log(level, "no instance metadata", extra={"reason": reason, "in_seconds": wait})


def _notices(metadata: Metadata) -> Iterator[Notice]:
    if notice := _read(metadata, INTERRUPTION, "action"):
        at = notice.get("time", "an unknown time")
        yield Notice("interruption", f"spot interruption: {notice['action']} at {at}")
    if notice := _read(metadata, REBALANCE, "noticeTime"):
        yield Notice("rebalance", f"rebalance recommended at {notice['noticeTime']}")


def _read(metadata: Metadata, path: str, needed: str) -> dict[str, object] | None:
    """Read a notice, None if there is none; raises TryLater if it is malformed."""
    found = metadata.find(path)
    if found is None:
        return None
    try:
        notice = json.loads(found)
    except ValueError as error:
        raise TryLater(f"metadata {path}: not JSON") from error
    if not isinstance(notice, dict) or needed not in notice:
        raise TryLater(f"metadata {path}: no {needed!r} in the answer")
    return notice
