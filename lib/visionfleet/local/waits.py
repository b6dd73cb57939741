"""When is which failed process due to be started again? No I/O and no clock here."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Failure:
    """The last failure of one process: when it was, and the wait that was given for it."""

    at: float
    wait_seconds: float


@dataclass(slots=True)
class Waits:
    """A growing wait for each process, and who is due."""

    first_seconds: float = 5.0
    longest_seconds: float = 60.0
    # Supervisor's own tries take their time before it gives up again (startretries=3: 6 s and the
    # runs), so a failure soon after a start is the same trouble, and one much later a new one.
    forget_seconds: float = 300.0
    failures: dict[str, Failure] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)

    def failed(self, name: str, now: float) -> float:
        """Note a failure; the answer is how long the process has to wait."""
        last = self.failures.get(name)
        if last is None or now - last.at > last.wait_seconds + self.forget_seconds:
            wait = self.first_seconds
        else:
            wait = min(2 * last.wait_seconds, self.longest_seconds)
        self.failures[name] = Failure(now, wait)
        self.due[name] = now + wait
        return wait

    def seconds_to_next(self, now: float) -> float | None:
        """Tell how long nothing is due; None when nobody waits."""
        if not self.due:
            return None
        return max(0.0, min(self.due.values()) - now)

    def take_due(self, now: float) -> list[str]:
        """Take out those whose wait is over, the longest due first."""
        names = sorted(
            (name for name, at in self.due.items() if at <= now), key=self.due.__getitem__
        )
        for name in names:
            del self.due[name]
        return names
