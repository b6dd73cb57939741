"""systemd in memory, as `systemctl` shows it: units that crash, refuse and hang on demand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from subprocess import CompletedProcess

from visionfleet.errors import TryLater

_SHOWN = """\
Result={unit.result}
ExecMainStartTimestamp={started}
ExecMainStatus={unit.status}
Id={id}
ActiveState={unit.state}
InactiveEnterTimestamp={ended}
"""
_DENIED = "Failed to {verb} {unit}: Interactive authentication required."


@dataclass(slots=True)
class FakeUnit:
    state: str = "inactive"
    result: str = "success"
    status: int = 0
    started_at: float | None = None
    ended_at: float | None = None


@dataclass(slots=True)
class FakeSystemd:
    """`started` are the units in the order of their starts; `loaded` is said of each of them."""

    now: Callable[[], float]
    units: dict[str, FakeUnit] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    loaded: str = "loaded"
    allowed: bool = True
    answers: bool = True
    stopping: bool = False
    masked: set[str] = field(default_factory=set)

    def __call__(self, *arguments: str) -> "CompletedProcess[str]":
        if not self.answers:
            raise TryLater("systemctl: timed out after 10 seconds")
        *words, name = arguments
        if "show" in words:
            return self._said(f"{self.loaded}\n" if "--value" in words else self._shown())
        verb = words[-1]
        assert "--no-ask-password" in words
        assert verb in {"start", "stop"}
        if not self.allowed:
            return self._said(_DENIED.format(verb=verb, unit=name), 1)
        if verb == "start" and self.stopping:
            assert "--job-mode=fail" in words, "it would undo the stop that is under way"
            return self._said(f"Failed to start {name}: Transaction is destructive.", 1)
        if verb == "start" and name in self.masked:
            return self._said(f"Failed to start {name}: Unit is masked.", 1)
        getattr(self, verb)(name)
        return self._said("")

    def start(self, name: str) -> None:
        unit = self.unit(name)
        if unit.state in {"inactive", "failed"}:
            self.units[name] = FakeUnit("activating", "success", 0, self.now(), unit.ended_at)
            self.started.append(name)

    def stop(self, name: str) -> None:
        unit = self.unit(name)
        if unit.state == "active":
            unit.state = "deactivating"
        elif unit.state == "activating":
            unit.state, unit.ended_at = "inactive", self.now()

    def ends(self, name: str, result: str = "success", status: int = 0) -> None:
        """Have a unit end for good, well or not."""
        state = "inactive" if result == "success" else "failed"
        began = self.unit(name).started_at
        self.units[name] = FakeUnit(state, result, status, began, self.now())

    def crashes(self, name: str) -> None:
        """Have a unit end and be started again at once."""
        self.units[name] = FakeUnit("activating", "exit-code", 1, self.now(), self.now())

    def unit(self, name: str) -> FakeUnit:
        return self.units.setdefault(name, FakeUnit())

    def _shown(self) -> str:
        blocks = []
        for name, unit in self.units.items():
            times = (unit.started_at, unit.ended_at)
            started, ended = ("" if at is None else f"@{at:.0f}" for at in times)
            blocks.append(_SHOWN.format(unit=unit, id=name, started=started, ended=ended))
        return "\n".join(blocks)

    def _said(self, text: str, status: int = 0) -> "CompletedProcess[str]":
        out, err = ("", text) if status else (text, "")
        return CompletedProcess([], status, out, err)
