"""Builds the Dockerfile by buildah, and runs its image.

Isolation is by chroot: processes see the host's network, and /proc of the host. The base is the
root of the test machines, and packages are those of this host, as on the machines.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from testkit.machine.installed import LIBRARIES, OFFLINE, libraries, pack_source
from testkit.machine.root import root_folder
from testkit.processes.daemons import Process

BUILD_SECONDS = 240
STOP_SECONDS = 45
MARK = "CONTAINER_OF_TESTS"


@dataclass(frozen=True)
class Images:
    """Where buildah keeps what it makes; `build` gives the image its name."""

    folder: Path

    def buildah(self, *arguments: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            self._argv(arguments),
            cwd=cwd,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"buildah {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def build(self, name: str) -> None:
        source = self.folder / "source"
        source.mkdir()
        subprocess.run(["tar", "-x", "-C", str(source)], input=pack_source(), check=True)
        base = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", base, str(root_folder()), "/")
        given = [word for item in OFFLINE.items() for word in ("--env", "=".join(item))]
        self.buildah("config", *given, base)
        self.buildah("commit", "--quiet", "--rm", base, "localhost/base")
        arguments = [
            "--build-arg",
            "BASE=localhost/base",
            "--build-arg",
            "TORCH_INDEX_URL=http://127.0.0.1",
        ]
        bound = f"{libraries()[LIBRARIES]}:{LIBRARIES}:ro"
        self.buildah(
            *("bud", "--quiet", "--format", "docker", "--volume", bound, *arguments),
            *("--tag", name, "."),
            cwd=source,
        )

    @contextmanager
    def running(
        self, name: str, role: str, settings: Mapping[str, str], volumes: Sequence[str] = ()
    ) -> Iterator[Process]:
        """Run a role until the end of the block."""
        container = self.buildah("from", f"localhost/{name}")
        bound = (f"{libraries()[LIBRARIES]}:{LIBRARIES}:ro", *volumes)
        argv = ["run", *(word for each in bound for word in ("--volume", each))]
        mark = f"{self.folder}/{container}"
        marked = {**settings, MARK: mark}
        argv += [word for item in marked.items() for word in ("--env", "=".join(item))]
        log = self.folder / f"{role}.log"
        process = Process(
            self._argv([*argv, container, "--", "/usr/bin/run", role]), log, self._environment()
        )
        try:
            yield process
        finally:
            _end(process, mark)
            self.buildah("rm", container)

    def _argv(self, arguments: Sequence[str]) -> list[str]:
        kept = ["--root", str(self.folder / "images"), "--runroot", str(self.folder / "run")]
        return ["buildah", *kept, *arguments]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}


def _end(process: Process, mark: str) -> None:
    """Ask the role itself to stop: buildah, if asked, would kill it."""
    for pid in _roles(mark):
        os.kill(pid, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    finally:
        for pid in _roles(mark):
            os.kill(pid, signal.SIGKILL)


def _roles(mark: str) -> list[int]:
    """Find the first process of a container, by the mark in its environment."""
    sought = f"{MARK}={mark}".encode()
    inside = {pid: parent for pid, parent, variables in _processes() if sought in variables}
    return [pid for pid, parent in inside.items() if parent not in inside]


def _processes() -> Iterator[tuple[int, int, list[bytes]]]:
    """Give the id, the parent and the environment of all processes."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                variables = (entry / "environ").read_bytes().split(b"\0")
                yield int(entry.name), int(fields[1]), variables


def need_buildah() -> None:
    """Skip where no container can be made; fail where CI must have them."""
    if shutil.which("buildah") is None or os.geteuid() != 0:
        reason = "no buildah, or not root: sudo apt-get install buildah"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs containers: {reason}")
        pytest.skip(reason)
