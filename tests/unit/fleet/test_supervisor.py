"""The fleet under supervisor: what its processes count as."""

import xmlrpc.client
from types import SimpleNamespace
from typing import Any

import pytest

from visionfleet.fleet import supervisor
from visionfleet.fleet.base import Member


class Rpc:
    def __init__(self) -> None:
        self.started: list[str] = []
        self.processes = [
            process("runs", "RUNNING"),
            process("given_up", "FATAL", 1) | {"spawnerr": "Exited too quickly"},
            process("refused", "EXITED", 78),
            process("ended", "EXITED"),
            process("still", "STOPPED", 78),
        ]

    def getAllProcessInfo(self) -> list[dict[str, Any]]:  # noqa: N802 - as supervisor has it
        return self.processes

    def startProcess(self, name: str, _wait: bool) -> None:  # noqa: N802
        if name.endswith("no_command"):
            raise xmlrpc.client.Fault(20, "NO_FILE")
        self.started.append(name)


def process(name: str, state: str, status: int = 0) -> dict[str, Any]:
    about = {"name": name, "group": "classifier", "statename": state}
    return about | {"exitstatus": status, "start": 100, "stop": 50}


@pytest.fixture
def rpc(monkeypatch: pytest.MonkeyPatch) -> Rpc:
    made = Rpc()
    monkeypatch.setattr(supervisor, "connect", lambda _url: SimpleNamespace(supervisor=made))
    return made


def test_a_worker_that_refused_to_start_is_failed(rpc: Rpc) -> None:
    members = supervisor.SupervisorFleet("s.sock", 9).members()
    assert members == [
        Member("runs", 100.0, "running"),
        Member("given_up", 100.0, "failed", fault="given_up: Exited too quickly; its log says why"),
        Member(
            "refused",
            100.0,
            "failed",
            fault="refused: refuses to start, status 78; its log says why",
        ),
    ]


def test_only_what_stands_still_is_launched(rpc: Rpc) -> None:
    fleet = supervisor.SupervisorFleet("s.sock", 9)
    assert fleet.launch(5, "d") == ["ended", "still"]
    assert rpc.started == ["classifier:ended", "classifier:still"]


def test_a_place_that_failed_is_tried_after_all_others(rpc: Rpc) -> None:
    rpc.processes = [
        process("failed_now", "STOPPED", 1) | {"stop": 90},
        process("failed_before", "EXITED", 1),
        process("killed", "STOPPED", -1) | {"stop": 70},
        process("left", "STOPPED"),
    ]
    names = supervisor.SupervisorFleet("s.sock", 9).launch(4, "d")
    assert names == ["left", "failed_before", "killed", "failed_now"]


def test_place_that_is_refused_is_left_for_another(rpc: Rpc) -> None:
    rpc.processes = [process("no_command", "STOPPED"), process("good", "STOPPED")]
    fleet = supervisor.SupervisorFleet("s.sock", 9)
    assert fleet.launch(1, "d") == ["good"]
    why = "supervisor: start no_command: NO_FILE"
    assert fleet.alarms() == (f"no_command: {why}",)
