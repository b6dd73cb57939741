"""Conditions of a fleet that an operator must repair, each logged once per episode."""

import logging
from collections.abc import Callable

log = logging.getLogger("scaler")

_QUOTED = 3  # of many that are alike


class Alarms:
    """`begun` and `ended` are the log's sentences."""

    def __init__(self, begun: str, ended: str) -> None:
        self._begun, self._ended = begun, ended
        self._reasons: dict[str, str] = {}

    def sentences(self) -> tuple[str, ...]:
        return tuple(f"{what}: {reason}" for what, reason in self._reasons.items())

    def as_one(self, of: str) -> tuple[str, ...]:
        """Summarize the alarms `of` a kind in one sentence, quoting the first ones."""
        sentences = self.sentences()
        if not sentences:
            return ()
        left = len(sentences) - _QUOTED
        more = (f"and {left} more",) if left > 0 else ()
        are = "is" if len(sentences) == 1 else "are"
        return (
            f"{len(sentences)} of {of} {are} refused: {'; '.join((*sentences[:_QUOTED], *more))}",
        )

    def warn(self, what: str, reason: str) -> None:
        if what not in self._reasons:
            log.error(self._begun, extra={"about": what, "reason": reason})
        self._reasons[what] = reason

    def resolved(self, what: str) -> None:
        if self._reasons.pop(what, None) is not None:
            log.info(self._ended, extra={"about": what})

    def keep(self, lasts: Callable[[str], bool]) -> None:
        for what in [what for what in self._reasons if not lasts(what)]:
            self.resolved(what)
