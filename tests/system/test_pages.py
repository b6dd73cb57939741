"""What README says of one machine, typed line by line in a checkout, on the ports that it names."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testkit import ROOT, pages
from testkit.processes.daemons import Process, family, started
from testkit.release import sources

pytestmark = pytest.mark.needs_torch

# A network of its own, with nothing but its loopback, for as long as standard input is open.
NETWORK = """
import ctypes, fcntl, os, socket, struct, sys
ctypes.CDLL(None, use_errno=True).unshare(0x40000000) == 0 or sys.exit("CLONE_NEWNET is refused")
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Person:
    """Types in the checkout; whatever is typed first makes the network that all share."""

    def __init__(self, folder: Path, service: Process) -> None:
        self.folder, self.service = folder, service

    def type(self, command: str) -> str:
        enter = ["nsenter", f"--net=/proc/{self.service.pid}/ns/net"]
        done = subprocess.run(
            [*enter, "bash", "-euc", command],
            cwd=self.folder,
            env=environment(self.folder),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def environment(folder: Path) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("VISIONFLEET_", "AWS_"))}
    return {**own, "PATH": f"{folder}/.venv/bin:{own['PATH']}", "PYTHONPATH": ""}


def checkout(folder: Path) -> Path:
    """Copy the sources; the packages in its .venv are those of the tests."""
    made, real = sources(folder), Path(sys.executable).parents[1]
    (made / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (made / ".venv" / name).symlink_to(real / name)
    os.utime(made / "setup.py", (0, 0))  # what it asks for is installed
    for stamp in (".installed-runtime", ".made-artefact"):
        (made / ".venv" / stamp).touch()
    (made / "photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg", "photos/b.jpg"):
        shutil.copy(ROOT / "models/espresso.jpg", made / name)
    return made


@contextmanager
def running(folder: Path, command: str) -> Iterator[Person]:
    argv = [sys.executable, "-c", NETWORK, "bash", "-euc", f"exec {command}"]
    env = {"PYTHONPATH": "", "PATH": environment(folder)["PATH"]}
    with started(argv, folder / "run.log", env, folder, stop_seconds=60) as service:
        service.wait_for_output("visionfleet is ready: http://127.0.0.1:8080/", 90)
        yield Person(folder, service)
        for pid in family(service.pid):  # as a terminal does: make, and what it runs
            os.kill(pid, signal.SIGINT)
        service.wait(60)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a network for port 8080")
def test_readme_typed_in_a_checkout_gives_answers() -> None:
    run, *lines = pages.typed_by(pages.STACK, "README.md")
    assert run.startswith("make run")
    with (
        tempfile.TemporaryDirectory(prefix="vf-", dir="/tmp") as name,
        running(checkout(Path(name)), run.partition("#")[0]) as person,
    ):
        said = {}
        for line in lines:
            endless = "--watch" in line
            said[line] = person.type(f"timeout 3 {line} || [ $? = 124 ]" if endless else line)
    label, whole, job, table = (
        out for line, out in said.items() if "photo" in line or "-F" in line
    )
    assert label == "espresso"
    assert '"label": "espresso"' in whole
    assert "202 Accepted" in job
    assert table.count("espresso") == 2
