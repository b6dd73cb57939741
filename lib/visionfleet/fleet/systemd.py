"""The fleet of one machine under systemd: instances of the classifier unit, by `systemctl`."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess

from visionfleet.config.classifier import ClassifierSection
from visionfleet.contract import names
from visionfleet.errors import Denied, TryLater
from visionfleet.fleet.base import Fleet, Member, MemberState
from visionfleet.fleet.starts import Starts
from visionfleet.host.process import EXIT_CONFIG
from visionfleet.host.systemctl import BOOTED, answer, systemctl

Systemctl = Callable[..., "CompletedProcess[str]"]

# Failed units are retried after this time: an operator may have fixed the cause.
RETRY_SECONDS = 60.0
# No such unit ever runs: stopping it has no effect, and shows whether polkit permits it.
_UNUSED_NUMBER = 999999
_NAME = re.compile(r"visionfleet-classifier@(0|[1-9][0-9]*)\.service")
_PROPERTIES = (
    "Id",
    "ActiveState",
    "Result",
    "ExecMainStatus",
    "ExecMainStartTimestamp",
    "InactiveEnterTimestamp",
)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit instance as systemd shows it; times are wall clock, 0 if unset."""

    number: int
    state: str
    result: str
    status: int
    started_at: float
    ended_at: float

    @property
    def fault(self) -> str:
        why = "refuses to start" if self.status == EXIT_CONFIG else f"has failed: {self.result}"
        return f"{unit_name(self.number)} {why}, status {self.status}; its log says why"


@dataclass(slots=True)
class SystemdFleet(Fleet):
    """Workers are named by `host` and unit number, of which there are `unit_count`.

    `now` is the wall clock. While `stopping` nothing is launched: all of visionfleet may be
    stopping, and new units would stay.
    """

    host: str
    unit_count: int
    maximum: int
    now: Callable[[], float]
    stopping: Callable[[], bool]
    ask: Systemctl = systemctl
    _ended: set[int] = field(default_factory=set)
    _failed_at: dict[int, float] = field(default_factory=dict)
    _starts: Starts = field(default_factory=Starts)

    def checks(self) -> Sequence[Callable[[], object]]:
        return (self._units,)

    def members(self) -> list[Member]:
        return list(self._members().values())

    def launch(self, count: int, decision_id: str) -> list[str]:  # noqa: ARG002
        """Start stopped units, those that failed last at the end; their names are fixed."""
        there = self._members()
        still = [number for number in range(self.unit_count) if number not in there]
        still.sort(key=lambda number: self._failed_at.get(number, 0.0))
        room = 0 if self.stopping() else self.maximum - len(there)
        places = {self._worker(number): number for number in still}
        started = self._starts.some(places, min(count, room), lambda one: self._start(places[one]))
        if self.stopping():  # perhaps when some were not started yet, so that systemd left them out
            self.terminate(started)
            return []
        return started

    def alarms(self) -> tuple[str, ...]:
        return self._starts.alarms()

    def _start(self, number: int) -> str:
        """Returns why systemd refuses, e.g. while a stop job is pending: a machine's shutdown."""
        done = self._ask_of(number, "--job-mode=fail", "start")
        try:
            answer(done)
        except TryLater as refusal:
            self._failed_at[number] = self.now()
            return str(refusal)
        self._ended.discard(number)
        return ""

    def terminate(self, names: Sequence[str]) -> None:
        """Send SIGTERM; systemd kills units that exceed their limit."""
        units = {self._worker(unit.number): unit for unit in self._units()}
        for unit in [units[name] for name in names if name in units]:
            if unit.state == "activating":  # it has not become ready
                self._failed_at[unit.number] = self.now()
            self._ended.add(unit.number)
            answer(self._ask_of(unit.number, "stop"))

    def _members(self) -> dict[int, Member]:
        found = ((unit.number, self._member(unit)) for unit in self._units())
        return {number: member for number, member in found if member is not None}

    def _member(self, unit: Unit) -> Member | None:
        name, now = self._worker(unit.number), self.now()
        if unit.state == "inactive":
            return None
        if unit.state == "failed":
            self._failed_at[unit.number] = unit.ended_at
            old = not 0 <= now - unit.ended_at <= RETRY_SECONDS
            if old or unit.number in self._ended:  # stopped by us, or long ago: startable
                return None
            return Member(name, unit.started_at, "failed", fault=unit.fault)
        state: MemberState = "stopping" if unit.state == "deactivating" else "running"
        return Member(name, unit.started_at or now, state)

    def _units(self) -> list[Unit]:
        asked = ("show", "--timestamp=unix", f"--property={','.join(_PROPERTIES)}")
        return list(units(answer(self.ask(*asked, unit_name("*")))))

    def _ask_of(self, number: int, *words: str) -> "CompletedProcess[str]":
        return self.ask("--no-ask-password", "--no-block", *words, unit_name(number))

    def _worker(self, number: int) -> str:
        return names.worker_on(self.host, number)


def unit_name(number: int | str) -> str:
    return f"visionfleet-classifier@{number}.service"


def units(shown: str) -> Iterator[Unit]:
    """Parse the output of `systemctl show`: a block of lines per unit."""
    for block in shown.strip().split("\n\n"):
        told = dict(line.partition("=")[::2] for line in block.splitlines())
        named = _NAME.fullmatch(told.get("Id", ""))
        if named:
            yield Unit(
                int(named[1]),
                told.get("ActiveState", ""),
                told.get("Result", ""),
                int(told.get("ExecMainStatus") or 0),
                _seconds(told.get("ExecMainStartTimestamp", "")),
                _seconds(told.get("InactiveEnterTimestamp", "")),
            )


def _seconds(timestamp: str) -> float:
    return float(timestamp[1:]) if timestamp.startswith("@") else 0.0


def lacking(settings: ClassifierSection, ask: Systemctl = systemctl, booted: Path = BOOTED) -> str:
    """The reason why this fleet cannot be used; empty if it can."""
    if not booted.exists():
        return (
            "scaler.fleet: systemd does not run this machine; set scaler.fleet to ec2, or to "
            "supervisor. Where a fixed number of classifiers runs, no scaler is needed"
        )
    if settings.ec2_instance:
        return "classifier.ec2_instance: must be false with scaler.fleet: systemd"
    if find_spec("openvino") is None:
        return (
            "scaler.fleet: nothing that classifies is installed here; install it with "
            "EXTRAS=classifier, or set scaler.fleet to ec2"
        )
    try:
        return _unusable(ask)
    except TryLater:
        return ""  # temporary: waited for later
    except Denied as error:
        return f"scaler.fleet: {error}"


def _unusable(ask: Systemctl) -> str:
    """Check the unit and our permission to stop it; raises Denied."""
    state = answer(ask("show", "--property=LoadState", "--value", unit_name(0))).strip()
    if state != "loaded":
        return f"scaler.fleet: {unit_name(0)} is {state}; `sudo visionfleet install` puts it there"
    answer(ask("--no-ask-password", "stop", unit_name(_UNUSED_NUMBER)))
    return ""
