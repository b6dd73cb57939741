"""A supervisor event listener that restarts processes in state FATAL, and those that exited with a
configuration error (status 78).

The backoff grows from 5 s to 60 s while a process keeps failing, to 300 s for one of many workers,
unless somebody else has restarted it.
"""

import sys
import time
import xmlrpc.client
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from visionfleet.errors import GiveUp
from visionfleet.host import supervisor_rpc
from visionfleet.host.process import EXIT_CONFIG
from visionfleet.local.supervisor_events import EXITED, FATAL, SupervisorEvent, events

FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 60.0
LONGEST_WAIT_OF_A_WORKER_SECONDS = 300.0  # there may be 19, and the scaler tries others meanwhile
# Supervisor's own tries take their time before it gives up again (startretries=3: 6 s and the
# runs), so a failure soon after a start is the same trouble, and one much later a new one.
FORGET_SECONDS = 300.0

# Faults of supervisor. After SPAWN_ERROR (also: exited at once) it retries by itself, and sends an
# event when it gives up; after others (NO_FILE ...) the process stays FATAL without one.
BAD_NAME = 10
SPAWN_ERROR = 50
ALREADY_STARTED = 60
LEFT_ALONE = frozenset({BAD_NAME, SPAWN_ERROR, ALREADY_STARTED})


@dataclass(slots=True)
class RestartBackoff:
    """A growing backoff per process; times are monotonic seconds."""

    due: dict[str, float] = field(default_factory=dict)
    # By process: the backoff after its last failure, and its end.
    _last: dict[str, tuple[float, float]] = field(default_factory=dict)

    def failed(self, name: str, now: float) -> float:
        last, over = self._last.get(name, (0.0, now))
        again = last > 0 and now - over <= FORGET_SECONDS
        one_of_many = name.startswith(f"{supervisor_rpc.GROUP}:")
        longest = LONGEST_WAIT_OF_A_WORKER_SECONDS if one_of_many else LONGEST_WAIT_SECONDS
        wait = min(2 * last, longest) if again else FIRST_WAIT_SECONDS
        self.due[name] = now + wait
        self._last[name] = wait, now + wait
        return wait

    def seconds_to_next(self, now: float) -> float | None:
        if not self.due:
            return None
        return max(0.0, min(self.due.values()) - now)

    def take_due(self, now: float) -> list[str]:
        names = sorted(
            (name for name, at in self.due.items() if at <= now), key=self.due.__getitem__
        )
        for name in names:
            del self.due[name]
        return names


class Restarter:
    """Supervisor's event listener; raises GiveUp without supervisor."""

    def __init__(self, server_url: str, groups: Sequence[str]) -> None:
        try:
            self._supervisor = supervisor_rpc.connect(server_url).supervisor
        except ValueError as error:
            raise GiveUp(
                f"not started by supervisor with a unix_http_server? SUPERVISOR_SERVER_URL: {error}"
            ) from error
        self._groups = frozenset(groups)
        self._backoff = RestartBackoff()

    def run(self) -> None:
        for event in events(lambda: self._backoff.seconds_to_next(time.monotonic())):
            if event is not None:
                self._note(event)
            for name in self._backoff.take_due(time.monotonic()):
                self._restart(name)

    def _note(self, event: SupervisorEvent) -> None:
        group = event.payload["groupname"]
        if self._groups and group not in self._groups:
            return
        name = f"{group}:{event.payload['processname']}"
        if event.name == FATAL:
            self._failed(name, "state=FATAL")
        elif event.name == EXITED and self._has_refused(name):
            self._failed(name, f"status={EXIT_CONFIG}")

    def _has_refused(self, name: str) -> bool:
        try:
            return supervisor_rpc.has_refused(self._supervisor.getProcessInfo(name))  # type: ignore[arg-type]
        except (xmlrpc.client.Fault, OSError):
            return False  # the process or supervisor is gone

    def _restart(self, name: str) -> None:
        try:
            _log(f"process={name} result={self._start(name)}")
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in LEFT_ALONE:
                _log(f"process={name} result=left-alone reason={fault.faultString!r}")
            else:
                self._failed(name, f"result=failed reason={fault.faultString!r}")
        except OSError as error:
            self._failed(name, f"result=failed reason={str(error)!r}")

    def _start(self, name: str) -> str:
        process: Any = self._supervisor.getProcessInfo(name)
        if process["statename"] != "FATAL" and not supervisor_rpc.has_refused(process):
            return f"left-alone state={process['statename']}"
        # Without waiting: another event tells if it becomes FATAL again.
        self._supervisor.startProcess(name, False)
        return "started"

    def _failed(self, name: str, how: str) -> None:
        wait = self._backoff.failed(name, time.monotonic())
        _log(f"process={name} {how} wait_seconds={wait:g}")


def _log(line: str) -> None:
    """To standard error: standard output is for supervisor's protocol."""
    print(f"revive: {line}", file=sys.stderr, flush=True)
