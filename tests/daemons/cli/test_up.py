"""`visionfleet up` when things go wrong: it names the setting to change, and leaves nothing."""

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from testkit import ROOT
from testkit.processes.daemons import Process, started
from testkit.processes.ports import accepts, free_port
from testkit.processes.waiting import wait_until

pytest.importorskip("supervisor")

COMMAND = [sys.executable, "-c", "import sys; from visionfleet.cli import main; sys.exit(main())"]
LOCAL = ROOT / "etc/local.yaml"

# Programs that only pretend: `web` answers every GET with 200, `aws` sleeps.
PRETENDING = """
[unix_http_server]
file = %(ENV_STACK_SOCKET)s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisord]
nodaemon = true
silent = true
logfile = %(ENV_STACK_VAR)s/log/supervisord.log
pidfile = %(ENV_STACK_VAR)s/supervisord.pid
[program:aws]
command = {aws}
startretries = 1
stopwaitsecs = 500
redirect_stderr = true
stdout_logfile = %(ENV_STACK_VAR)s/log/aws.log
[program:web]
command = {web}
stopwaitsecs = 1
redirect_stderr = true
stdout_logfile = %(ENV_STACK_VAR)s/log/web.log
"""
SLEEP = "sleep 600"
STUBBORN = "/bin/sh -c 'trap true TERM; while true; do sleep 600; done'"
READY = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.test(Handler, port={port}, bind="127.0.0.1")
"""


class Up:
    """One `visionfleet up`, its folder and its settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.web, self.aws = free_port(), free_port()
        self.var = folder / "var"
        self.settings = {
            "VISIONFLEET_WEB__PORT": str(self.web),
            "VISIONFLEET_AWS__ENDPOINT_URL": f"http://127.0.0.1:{self.aws}",
            "VISIONFLEET_SUPERVISOR__SOCKET": str(folder / "run" / "s.sock"),
        }

    @contextmanager
    def running(
        self, settings: Mapping[str, str] | None = None, **programs: str
    ) -> Iterator[Process]:
        conf = self.folder / "stack.conf"
        ready = self.folder / "ready.py"
        ready.write_text(READY.format(port=self.web))
        usual = {"aws": SLEEP, "web": f"{sys.executable} {ready}"}
        conf.write_text(PRETENDING.format(**usual | programs))
        argv = [*COMMAND, "up", "--config", str(LOCAL), "--var", str(self.var)]
        argv += ["--supervisor", str(conf)]
        environment = {**self.settings, **(settings or {})}
        with started(argv, self.folder / "up.log", environment, stop_seconds=30) as process:
            yield process

    def left(self) -> list[int]:
        """Ids of living processes that were started for this stack."""
        mark = f"STACK_VAR={self.var}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            try:
                environ = (folder / "environ").read_bytes() if folder.name.isdigit() else b""
            except OSError:
                continue
            if mark in environ.split(b"\0"):
                found.append(int(folder.name))
        return found


@pytest.fixture
def up() -> Iterator[Up]:
    """Make a folder with a short path, for the socket; afterwards nothing may be left."""
    with tempfile.TemporaryDirectory(prefix="vf-", dir="/tmp") as name:
        made = Up(Path(name))
        yield made
        wait_until(lambda: not made.left(), 20, lambda: f"an end of {made.left()}")


def test_up_prints_next_steps_and_stops_cleanly(up: Up) -> None:
    with up.running() as process:
        output = process.wait_for_output("Ctrl-C stops all of it.", 60)
        assert f"visionfleet is ready: http://127.0.0.1:{up.web}/" in output
        assert "curl -F myfile=@" in output
        assert f"status --watch --config {LOCAL}" in output
        assert (up.folder / "run").stat().st_mode & 0o777 == 0o700
        process.signal(signal.SIGINT)
        process.assert_exit(0, 30)
        assert "visionfleet: stopped in" in process.output()
    assert not accepts(up.web)


def test_second_signal_ends_the_stack_at_once(up: Up) -> None:
    with up.running(aws=STUBBORN) as process:
        process.wait_for_output("Ctrl-C stops all of it.", 60)
        process.signal(signal.SIGTERM)
        process.wait_for_output("stopping: aws", 20)
        process.signal(signal.SIGTERM)
        process.assert_exit(130, 20)


def test_killing_up_ends_the_whole_stack(up: Up) -> None:
    with up.running() as process:
        process.wait_for_output("Ctrl-C stops all of it.", 60)
        process.kill()
        wait_until(lambda: not up.left(), 20, lambda: str(up.left()))


def test_killing_supervisord_ends_up_with_status_1(up: Up) -> None:
    with up.running() as process:
        process.wait_for_output("Ctrl-C stops all of it.", 60)
        os.kill(int((up.var / "supervisord.pid").read_text()), signal.SIGKILL)
        process.assert_exit(1, 20)
        assert "visionfleet: supervisord ended with status -9" in process.output()


def test_program_that_does_not_start_is_named_with_its_log(up: Up) -> None:
    broken = "/bin/sh -c 'echo no model today; exit 3'"
    with up.running(aws=broken) as process:
        process.assert_exit(1, 60)
        assert "visionfleet: aws does not start" in process.output()
        assert f"{up.var}/log/aws.log:\nno model today" in process.output()


def test_faulty_supervisor_file_is_reported(up: Up) -> None:
    with up.running(aws="%(ENV_NOBODY_SET_THIS)s") as process:
        process.assert_exit(1, 30)
        assert "supervisord ended with status 2" in process.output()
        assert "NOBODY_SET_THIS" in process.output()


def test_signal_before_ready_stops_up(up: Up) -> None:
    with up.running(web=SLEEP) as process:
        wait_until((up.var / "supervisord.pid").exists, 30, process.tail)
        process.signal(signal.SIGTERM)
        process.assert_exit(0, 30)
        assert "is ready" not in process.output()


@pytest.mark.parametrize(
    ("port", "setting"), [("web", "web.port"), ("aws", "aws.endpoint_url")], ids=["web", "aws"]
)
def test_a_port_in_use_names_the_setting(up: Up, port: str, setting: str) -> None:
    number = getattr(up, port)
    with socket.create_server(("127.0.0.1", number)), up.running() as process:
        process.assert_exit(1)
        assert f"port {number} is in use on 127.0.0.1; change {setting}" in process.output()


def test_second_up_with_the_same_socket_is_refused(up: Up) -> None:
    with up.running() as first:
        first.wait_for_output("Ctrl-C stops all of it.", 60)
        other = Up(up.folder)
        other.settings["VISIONFLEET_SUPERVISOR__SOCKET"] = str(up.folder / "run" / "s.sock")
        with other.running() as second:
            wait_until(lambda: not second.running, 20, second.tail)
        assert "a supervisor is running at" in second.output()
        assert first.running


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SUPERVISOR__SOCKET", "/tmp/" + "x" * 95, "has 100 bytes, 99 are possible"),
        ("AWS__ENDPOINT_URL", "null", "aws.endpoint_url must be on this machine"),
        ("WEB__ADDRESS", "192.0.2.1", "change web.port"),
    ],
)
def test_settings_that_cannot_work_locally_are_refused(
    up: Up, name: str, value: str, sentence: str
) -> None:
    with up.running({f"VISIONFLEET_{name}": value}) as process:
        process.assert_exit(1)
        assert sentence in process.output()
        *before, _ = process.output().splitlines()
        assert before in ([], ["visionfleet: starting ..."])


def test_socket_path_of_maximum_length_works(up: Up) -> None:
    path = up.folder / "run"
    path /= "x" * (99 - len(str(path)) - 1)
    with up.running({"VISIONFLEET_SUPERVISOR__SOCKET": str(path)}) as process:
        process.wait_for_output("Ctrl-C stops all of it.", 60)
        assert path.is_socket()


def test_missing_supervisor_file_is_named(up: Up) -> None:
    argv = [*COMMAND, "up", "--config", str(LOCAL), "--supervisor", "/nowhere.conf"]
    with started([*argv, "--var", str(up.var)], up.folder / "log", up.settings) as process:
        process.assert_exit(1)
        assert "/nowhere.conf is missing" in process.output()
