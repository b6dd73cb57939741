"""How long each phase of a start takes. No I/O here."""

from collections.abc import Callable


class StartupTimer:
    """Seconds by the name of the phase, in the order in which they ended."""

    def __init__(self, began: float, now: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = {}
        self._began = self._last = began
        self._now = now

    def end(self, phase: str) -> None:
        """Book the time since the last phase ended under this name; a name twice adds up."""
        now = self._now()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + max(0.0, now - self._last)
        self._last = now

    def total(self) -> float:
        return self._last - self._began
