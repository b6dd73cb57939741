"""The fleet of one machine: processes of a supervisor group, over XML-RPC on its unix socket."""

import xmlrpc.client
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from visionfleet.errors import GiveUp, TryLater
from visionfleet.fleet.base import Fleet, Member, MemberState
from visionfleet.fleet.starts import Starts
from visionfleet.host.process import EXIT_CONFIG
from visionfleet.host.supervisor_rpc import GROUP, connect, has_refused, listens

# XML-RPC faults that mean: already in the wanted state.
_ALREADY_STARTED, _NOT_RUNNING = 60, 70
# supervisord is shutting down or restarting.
_SHUTDOWN_STATE = 6
# The answer to starting a process that is still stopping.
_ABNORMAL_TERMINATION = 40
_STATES: dict[str, MemberState] = {
    "STARTING": "running",
    "RUNNING": "running",
    "BACKOFF": "running",
    "STOPPING": "stopping",
    "FATAL": "failed",
}
_STARTABLE = {"STOPPED", "EXITED"}


NO_SUPERVISOR = (
    "scaler.fleet: no supervisor answers at {socket}; set scaler.fleet to systemd or ec2, or "
    "supervisor.socket to where one listens. Where a fixed number of classifiers runs, no scaler "
    "is needed"
)


class SupervisorFleet(Fleet):
    def __init__(self, socket: str, maximum: int) -> None:
        self._rpc = connect(f"unix://{socket}")
        self.maximum = maximum
        self._starts = Starts()

    def checks(self) -> Sequence[Callable[[], object]]:
        return (self._find_group,)

    def _find_group(self) -> None:
        if not self._processes():
            raise GiveUp(f"supervisor has no process group {GROUP!r}")

    def members(self) -> list[Member]:
        return [
            Member(process["name"], float(process["start"]), state, fault=_fault(process, state))
            for process in self._processes()
            if (state := _state(process))
        ]

    def launch(self, count: int, decision_id: str) -> list[str]:  # noqa: ARG002
        """Start stopped processes, those that failed last at the end; their names are fixed."""
        processes = self._processes()
        still = [p for p in processes if not _state(p) and p["statename"] in _STARTABLE]
        room = self.maximum - (len(processes) - len(still))
        in_order = [process["name"] for process in sorted(still, key=_failed_at)]
        return self._starts.some(in_order, min(count, room), self._start)

    def alarms(self) -> tuple[str, ...]:
        return self._starts.alarms()

    def _start(self, name: str) -> str:
        """Returns why supervisor refuses, e.g. for a command that is not there."""
        try:
            with _wrapped(f"start {name}", {_ALREADY_STARTED, _ABNORMAL_TERMINATION}):
                self._rpc.supervisor.startProcess(f"{GROUP}:{name}", False)
        except GiveUp as refusal:
            return str(refusal)
        return ""

    def terminate(self, names: Sequence[str]) -> None:
        """Send SIGTERM; supervisor kills processes that exceed their limit."""
        for name in names:
            with _wrapped(f"stop {name}", {_NOT_RUNNING}):
                self._rpc.supervisor.stopProcess(f"{GROUP}:{name}", False)

    def _processes(self) -> list[dict[str, Any]]:
        with _wrapped("list processes", set()):
            found: Any = self._rpc.supervisor.getAllProcessInfo()
            return [process for process in found if process["group"] == GROUP]


def lacking(socket: str) -> str:
    """The reason why this fleet cannot be used; empty if it can."""
    return "" if listens(socket) else NO_SUPERVISOR.format(socket=socket)


def _state(process: dict[str, Any]) -> MemberState | None:
    """A process that refused to start is relaunched later, like one that supervisor gave up."""
    return "failed" if has_refused(process) else _STATES.get(process["statename"])


def _fault(process: dict[str, Any], state: MemberState) -> str:
    if state != "failed":
        return ""
    refused = has_refused(process)
    why = f"refuses to start, status {EXIT_CONFIG}" if refused else process.get("spawnerr", "")
    return f"{process['name']}: {why or 'it has failed'}; its log says why"


def _failed_at(process: dict[str, Any]) -> float:
    return float(process["stop"]) if process["exitstatus"] else 0.0


@contextmanager
def _wrapped(doing: str, fine: set[int]) -> Iterator[None]:
    try:
        yield
    except xmlrpc.client.Fault as fault:
        if fault.faultCode == _SHUTDOWN_STATE:
            raise TryLater(f"supervisor: {doing}: {fault.faultString}") from fault
        if fault.faultCode not in fine:
            raise GiveUp(f"supervisor: {doing}: {fault.faultString}") from fault
    except Exception as error:  # from the socket, HTTP or the XML parser
        raise TryLater(f"supervisor: {doing}: {error}") from error
