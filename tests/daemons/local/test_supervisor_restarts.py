"""The restart listener under a real supervisord."""

import socket
import socketserver
import sys
import tempfile
import threading
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from testkit.processes.daemons import Process, started
from testkit.processes.waiting import wait_until
from visionfleet.host import supervisor_rpc

pytest.importorskip("supervisor")

VISIONFLEET = str(Path(sys.executable).with_name("visionfleet"))

CONF = """
[supervisord]
nodaemon = true
logfile = {directory}/supervisord.log
pidfile = {directory}/supervisord.pid
childlogdir = {directory}
[unix_http_server]
file = {directory}/s.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[eventlistener:revive]
command = {visionfleet} revive
events = PROCESS_STATE_FATAL,PROCESS_STATE_EXITED
stderr_logfile = {directory}/revive.log
stopwaitsecs = 3
[program:flaky]
command = /bin/sh -c 'test -e {directory}/mended && exec sleep 600; exit 1'
numprocs = 2
process_name = %(program_name)s_%(process_num)02d
autorestart = true
startsecs = 1
startretries = 1
[program:refusing]
command = /bin/sh -c 'test -e {directory}/mended && exec sleep 600; exit 78'
autorestart = unexpected
exitcodes = 0,78
startsecs = 0
[program:removed]
command = /bin/false
startsecs = 1
startretries = 1
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """Make a directory with a short path: that of a unix socket has 108 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="vf", dir="/tmp") as name:
        yield Path(name)


@contextmanager
def supervisord(directory: Path) -> Iterator[tuple[Process, Any]]:
    conf = directory / "supervisord.conf"
    conf.write_text(CONF.format(directory=directory, visionfleet=VISIONFLEET))
    argv = [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)]
    with started(argv, directory / "out.log", cwd=directory, stop_seconds=20) as process:
        wait_until((directory / "s.sock").exists, 20, process.tail)
        yield process, supervisor_rpc.connect(f"unix://{directory}/s.sock").supervisor


def states(supervisor: Any) -> dict[str, str]:
    return {info["name"]: info["statename"] for info in supervisor.getAllProcessInfo()}


def test_fatal_programs_are_restarted_until_they_run(directory: Path) -> None:
    log = directory / "revive.log"

    def told(text: str) -> bool:
        return log.exists() and text in log.read_text()

    with supervisord(directory) as (process, supervisor):
        for name in ("flaky:flaky_00", "flaky:flaky_01", "removed:removed"):
            line = f"process={name} state=FATAL wait_seconds=5"
            wait_until(partial(told, line), 20, process.tail)
        wait_until(
            lambda: told("process=refusing:refusing status=78 wait_seconds=5"), 20, process.tail
        )
        supervisor.removeProcessGroup("removed")
        (directory / "mended").touch()
        wait_until(
            lambda: (
                [states(supervisor).get(n) for n in ("flaky_00", "flaky_01", "refusing")]
                == ["RUNNING"] * 3
            ),
            20,
            lambda: f"{states(supervisor)} {log.read_text()} {process.tail()}",
        )
        wait_until(lambda: told("process=removed:removed result=left-alone"), 20, log.read_text)
        assert states(supervisor)["revive"] == "RUNNING"
        status, _ = process.stop(20)
    assert status == 0
    assert "process=flaky:flaky_00 result=started" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_program_started_by_an_operator_is_left_alone(directory: Path) -> None:
    log = directory / "revive.log"
    with supervisord(directory) as (process, supervisor):
        wait_until(
            lambda: log.exists() and "process=flaky:flaky_00 state=FATAL" in log.read_text(),
            20,
            process.tail,
        )
        (directory / "mended").touch()
        supervisor.startProcess("flaky:flaky_00", True)
        pid = supervisor.getProcessInfo("flaky:flaky_00")["pid"]
        wait_until(
            lambda: "process=flaky:flaky_00 result=left-alone state=RUNNING" in log.read_text(),
            20,
            log.read_text,
        )
        assert supervisor.getProcessInfo("flaky:flaky_00")["pid"] == pid


def test_missing_supervisor_is_reported(directory: Path) -> None:
    with started(
        [VISIONFLEET, "revive"], directory / "log", env={"SUPERVISOR_SERVER_URL": ""}
    ) as process:
        process.assert_exit(1)
        assert "not started by supervisor" in process.output()


def test_supervisor_rpc_faults_are_raised(directory: Path) -> None:
    with supervisord(directory) as (_, supervisor):
        with pytest.raises(xmlrpc.client.Fault, match="BAD_NAME"):
            supervisor.startProcess("nobody")
        with pytest.raises(xmlrpc.client.Fault, match="UNKNOWN_METHOD"):
            supervisor.noSuchMethod()


def test_supervisor_rpc_without_a_server_is_oserror(directory: Path) -> None:
    with pytest.raises(FileNotFoundError):
        supervisor_rpc.connect(f"unix://{directory}/none.sock").supervisor.getState()


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n"]
)
def test_supervisor_rpc_with_a_bad_answer_is_oserror(directory: Path, answer: bytes) -> None:
    calls = []

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            request = b""
            while b"</methodCall>" not in request:  # head and body come in pieces
                request += self.request.recv(65536)
            calls.append(request)
            self.request.sendall(answer)

    path = f"{directory}/odd.sock"
    with socketserver.UnixStreamServer(path, Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(OSError, match="no XML-RPC answer"):
                supervisor_rpc.connect(f"unix://{path}").supervisor.getState()
        finally:
            server.shutdown()
            thread.join()
    assert len(calls) == 1, "a call is made once: it may have been carried out"


def test_supervisor_rpc_timeout_is_oserror(directory: Path) -> None:
    path = f"{directory}/silent.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        with pytest.raises(TimeoutError):
            supervisor_rpc.connect(f"unix://{path}", 0.2).supervisor.getState()


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9001", "unix://relative.sock"])
def test_supervisor_rpc_refuses_other_addresses(url: str) -> None:
    with pytest.raises(ValueError, match="unix:///path"):
        supervisor_rpc.connect(url)
