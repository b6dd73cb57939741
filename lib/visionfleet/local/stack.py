"""The whole service on one machine: supervisord and its children, in a session of their own.

At the end the rest of the session is killed. If this process dies, supervisord gets TERM.
"""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import urllib3

from visionfleet.config import Config
from visionfleet.errors import GiveUp, VisionfleetError
from visionfleet.host import supervisor_rpc
from visionfleet.host.child import end_with_parent
from visionfleet.host.loopback import loopback_address

READY_SECONDS = 60.0
STOP_SECONDS = 120.0  # for supervisord itself, which kills its children in time

_TAIL_LINES = 20
_SOCKET_BYTES = 107  # sun_path has 108 bytes, the last one is 0
# supervisord binds SOCKET.PID first, and a pid has 7 digits at the most.
_PID_SUFFIX_BYTES = 8


class StackFailed(VisionfleetError):
    """The stack did not start, or ended by itself; the message has the end of the log."""


@dataclass(frozen=True, slots=True)
class StackFiles:
    """`embedded`: whether the stack has its own AWS, or uses an existing one."""

    config: Path
    supervisor: Path
    var: Path
    embedded: bool

    @property
    def logs(self) -> Path:
        return self.var / "log"


class Stack:
    """A running supervisord. `environment` is added to that of its processes."""

    def __init__(self, config: Config, files: StackFiles, environment: Mapping[str, str]) -> None:
        self._config, self._files = config, files
        server = f"unix://{config.supervisor.socket}"
        self._rpc = supervisor_rpc.connect(server).supervisor
        self._http = urllib3.PoolManager(retries=False, timeout=5.0)
        self._process = _start(config, files, environment)

    @property
    def url(self) -> str:
        return f"http://{_host_in_url(self._config.web.address)}:{self._config.web.port}"

    def wait_until_ready(self, stop: threading.Event) -> bool:
        """Wait for GET /readyz; False if `stop` was set first, StackFailed on failure."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            self.check()
            states = self.states()
            for name, state in states.items():
                if state == "FATAL":
                    raise StackFailed(self._with_log(f"{name} does not start", f"{name}.log"))
            if set(states.values()) == {"RUNNING"} and self._answers():
                return True
            if stop.wait(0.2):
                return False
        raise StackFailed(self._with_log(f"not ready within {READY_SECONDS:g} s", "web.log"))

    def check(self) -> None:
        if self._process.poll() is not None:
            sentence = f"supervisord ended with status {self._process.returncode}"
            raise StackFailed(self._with_log(sentence, "supervisord.out", "supervisord.log"))

    def states(self) -> dict[str, str]:
        found = self._processes()
        left_out = {supervisor_rpc.GROUP} if self._files.embedded else {supervisor_rpc.GROUP, "aws"}
        return {str(p["name"]): str(p["statename"]) for p in found if p["group"] not in left_out}

    def alive(self) -> dict[str, int]:
        return {str(p["name"]): pid for p in self._processes() if isinstance(pid := p["pid"], int)}

    def still_alive(self, known: Mapping[str, int]) -> list[str]:
        left = _members(self._process.pid)
        return [name for name, pid in known.items() if pid in left]

    def terminate(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()

    def ended(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        _kill_all(self._process.pid)
        self._process.wait()

    def _processes(self) -> list[dict[str, object]]:
        try:
            return self._rpc.getAllProcessInfo()  # type: ignore[return-value]
        except (OSError, xmlrpc.client.Error):
            return []  # not started yet, or ended

    def _answers(self) -> bool:
        try:
            return self._http.request("GET", f"{self.url}/readyz").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _with_log(self, sentence: str, *names: str) -> str:
        tails = [f"{self._files.logs / name}:\n{tail(self._files.logs / name)}" for name in names]
        return "\n".join((sentence, *tails))


@contextlib.contextmanager
def running(
    config: Config, files: StackFiles, environment: Mapping[str, str] | None = None
) -> Iterator[Stack]:
    """Run a stack within a with block; leftovers of a stop are killed."""
    check(config, files)
    for folder in (config.supervisor.socket.parent, files.logs):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stack = Stack(config, files, environment or {})
    stop_seconds = STOP_SECONDS
    try:
        yield stack
    except KeyboardInterrupt:
        stop_seconds = 0.0
        raise
    finally:
        try:
            stack.terminate()
            stack.ended(stop_seconds)
        finally:
            stack.kill()


def check(config: Config, files: StackFiles) -> None:
    """Raise GiveUp if the stack cannot start, naming the setting to change."""
    if not _program("supervisord").exists():
        raise GiveUp("supervisord is missing: pip install 'visionfleet[local]'")
    if not files.supervisor.is_file():
        raise GiveUp(f"{files.supervisor} is missing: supervisor's configuration of the stack")
    _check_socket(config.supervisor.socket)
    _check_port(config.web.address, config.web.port, "web.port, or VISIONFLEET_WEB__PORT")
    endpoint = loopback_address(config.aws.endpoint_url) if files.embedded else None
    if endpoint is not None:
        _check_port(*endpoint, "aws.endpoint_url, or VISIONFLEET_AWS__ENDPOINT_URL")


def tail(path: Path) -> str:
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return "(there is none)"
    return "\n".join(text.splitlines()[-_TAIL_LINES:]) or "(it is empty)"


def _start(
    config: Config, files: StackFiles, environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    argv = [str(_program("supervisord")), "-n", "-c", str(files.supervisor)]
    with (files.logs / "supervisord.out").open("wb") as output:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=files.var,
            env=_environment(config, files, environment),
            start_new_session=True,
            preexec_fn=partial(end_with_parent, signal.SIGTERM),
        )


def _environment(config: Config, files: StackFiles, more: Mapping[str, str]) -> dict[str, str]:
    """VISIONFLEET_ names are settings, so supervisor's variables need another prefix."""
    path = os.pathsep.join((str(_program("")), os.environ.get("PATH", os.defpath)))
    return {
        **os.environ,
        **more,
        "PATH": path,
        "STACK_EMBEDDED_AWS": str(files.embedded).lower(),
        "STACK_SOCKET": str(config.supervisor.socket),
        "STACK_VAR": str(files.var),
        "VISIONFLEET_CONFIG": str(files.config),
    }


def _program(name: str) -> Path:
    return Path(sys.executable).parent / name


def _host_in_url(address: str) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - not bound
    return f"[{host}]" if ":" in host else host


def _check_socket(path: Path) -> None:
    maximum, size = _SOCKET_BYTES - _PID_SUFFIX_BYTES, len(os.fsencode(path))
    if size > maximum:
        raise GiveUp(
            f"supervisor.socket: {path} has {size} bytes, {maximum} are possible for a socket; "
            "set a shorter one: VISIONFLEET_SUPERVISOR__SOCKET=/tmp/visionfleet/supervisor.sock"
        )
    with socket.socket(socket.AF_UNIX) as probe:
        if path.exists() and probe.connect_ex(str(path)) == 0:
            raise GiveUp(f"a supervisor is running at {path} already (supervisor.socket); stop it")


def _check_port(host: str, port: int, setting: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignore TIME_WAIT
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise GiveUp(f"port {port} is in use on {host}; change {setting}") from error
            raise GiveUp(f"{host}:{port} cannot be used: {error}; change {setting}") from error


def _members(session: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended just now
            # The name before the last bracket may hold anything, also brackets and spaces.
            state, _parent, _group, its_session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state not in "ZX":
                found.append(int(stat.parent.name))
    return found


def _kill_all(session: int) -> None:
    """Kill the rest of a session, including processes it is starting."""
    killed: list[int] = []
    while left := [pid for pid in _members(session) if pid not in killed]:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed += left
