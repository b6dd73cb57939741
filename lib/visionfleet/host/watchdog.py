"""Tracks whether the loops of this process make progress, for systemd's watchdog. No I/O here."""

from collections import deque
from collections.abc import Callable, Mapping

PERIOD_SECONDS = 5.0  # the longest interval of notifications
PACE_SECONDS = 10.0  # the window of a rate


class Watchdog:
    """Tracks the start of each loop's current step. `clock` is monotonic, in seconds.

    A step may take the loop's `allowed_seconds`; rest is unlimited. A loop without an entry is not
    watched. Each loop has one thread, and each update is a single assignment.
    """

    def __init__(
        self, clock: Callable[[], float], allowed_seconds: Mapping[str, float] | None = None
    ) -> None:
        self._clock = clock
        self._allowed = allowed_seconds or {}
        self._since: dict[str, float | None] = dict.fromkeys(self._allowed)

    def step(self, loop: str) -> None:
        if loop in self._allowed:
            self._since[loop] = self._clock()

    def rest(self, loop: str) -> None:
        if loop in self._allowed:
            self._since[loop] = None

    def stuck(self) -> list[str]:
        now, found = self._clock(), []
        for loop, allowed in self._allowed.items():
            since = self._since[loop]
            if since is not None and now - since > allowed:
                found.append(f"the {loop} has been at one step for {now - since:.0f} s")
        return found


class Pace:
    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def per_second(self, count: int, now: float) -> float:
        """Record a counter; returns its rate over about PACE_SECONDS."""
        self._points.append((now, count))
        while len(self._points) > 2 and now - self._points[1][0] >= PACE_SECONDS:
            self._points.popleft()
        at, before = self._points[0]
        return (count - before) / (now - at) if now > at else 0.0


def period_seconds(watchdog_seconds: float | None) -> float:
    """The interval of notifications: a quarter of the watchdog's, or less."""
    return min(PERIOD_SECONDS, (watchdog_seconds or PERIOD_SECONDS * 4) / 4)


def notification(status: str, last: str, watched: bool, stuck: bool) -> list[str]:
    found = [f"STATUS={status}"] if status != last else []
    if watched:
        found.append("WATCHDOG=trigger" if stuck else "WATCHDOG=1")
    return found


def extend_timeout(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}"


def web_status(reasons: list[str], in_flight: int, answered: int, per_second: float) -> str:
    ready = f"not ready: {'; '.join(reasons)}" if reasons else "ready"
    return f"{ready}: {in_flight} in flight, {answered} jobs answered{_rate(per_second, 'jobs')}"


def classifier_status(
    state: str, in_flight: int, handled: int, per_second: float, model: str
) -> str:
    pace = _rate(per_second, "images")
    return f"{state}: {in_flight} in flight, {handled} answered{pace}, model {model}"


def _rate(per_second: float, what: str) -> str:
    return f", {per_second:.1f} {what}/s" if per_second >= 0.05 else ""
