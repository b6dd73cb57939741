"""A booted systemd for tests: a container of its own over a cached root, whose changes are thrown
away at the end. It shares the network, so what listens on this host's loopback is reachable.

A container cannot be asked from outside (nothing registers it), so commands enter its namespaces.
"""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from testkit.machine.root import root_folder
from testkit.processes.waiting import wait_until

BOOT_SECONDS = 60.0
OFF_SECONDS = 120.0
POWER_OFF = signal.SIGRTMIN + 4  # what systemd understands as `poweroff`
ASKED_FOR_REBOOT = 133  # exit status of nspawn
CGROUPS = Path("/sys/fs/cgroup")
# Hierarchies of cgroup v1 in which the machine gets a place of its own; those that are there.
HIERARCHIES = ("cpu", "cpuacct", "memory", "pids", "blkio", "freezer", "systemd", "unified")
ENVIRONMENT = (
    *("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"),
    *("LANG=C.UTF-8", "SYSTEMD_PAGER=cat", "SYSTEMD_COLORS=0"),
)


class Machine:
    """One machine; its disk outlives a reboot and ends with the test."""

    def __init__(
        self,
        disk: Path,
        folder: Path,
        name: str,
        binds: Mapping[str, Path],
        cpus: Sequence[int] = (),
        words: Sequence[str] = (),
    ) -> None:
        self.disk, self.name = disk, name
        self._cpus = cpus
        self._console = folder / f"{name}.log"
        self._binds, self._words = dict(binds), words
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def boot(self) -> float:
        """Start it and wait until it is up; tells how long that took."""
        started = time.monotonic()
        with self._console.open("ab") as console:
            self._nspawn = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=self._enter_cgroups,
            )
        self._leader = wait_until(self._find_leader, BOOT_SECONDS, self.console)
        wait_until(self._is_up, BOOT_SECONDS, lambda: f"booting; {self.console()}")
        self._make_limits_work()
        return time.monotonic() - started

    def run(
        self,
        *argv: str,
        stdin: bytes | None = None,
        seconds: float = 60.0,
        check: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command as root on the machine; its failure is ours unless `check` is false."""
        given = [f"{name}={value}" for name, value in (environment or {}).items()]
        enter = ["nsenter", "-t", str(self._leader), *["-m", "-u", "-i", "-n", "-p", "-C"]]
        done = subprocess.run(
            [*enter, "env", "-i", *ENVIRONMENT, *given, *argv],
            input=stdin or b"",
            capture_output=True,
            timeout=seconds,
            check=False,
        )
        out, err = (part.decode(errors="replace") for part in (done.stdout, done.stderr))
        told = f"{shlex.join(argv)}: status {done.returncode}\n{out[-4000:]}\n{err[-4000:]}"
        assert not check or done.returncode == 0, told
        return subprocess.CompletedProcess(list(argv), done.returncode, out, err)

    def systemctl(self, *arguments: str, seconds: float = 120.0) -> str:
        """Run systemctl, which must succeed, and return what it printed."""
        return self.run("systemctl", *arguments, seconds=seconds).stdout

    def show(self, unit: str, name: str) -> str:
        """Read one property of a unit, as `MainPID`."""
        return self.systemctl("show", unit, "--value", "-p", name).strip()

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        """Write a file on the machine, with the folders above it."""
        data = text.encode() if isinstance(text, str) else text
        script = 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"'
        self.run("sh", "-c", script, "sh", path, f"{mode:o}", stdin=data)

    def journal(self, *arguments: str) -> str:
        """Read the journal, without decoration, with all that was logged up to now."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "-q", *arguments).stdout

    def reboot(self) -> float:
        """Restart it; tells how long it took from the last process to being up again."""
        self.run("systemctl", "reboot", check=False)  # the answer may be cut off
        status = self._wait_for_end()
        assert status == ASKED_FOR_REBOOT, f"status {status}; {self.console()}"
        return self.boot()

    def power_off(self) -> None:
        """Shut it down in order, and by force when it does not."""
        if self._nspawn is None or self._nspawn.poll() is not None:
            return
        with suppress(ProcessLookupError):
            if self._leader:
                os.kill(self._leader, POWER_OFF)
        try:
            self._wait_for_end()
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.kill(self._leader, signal.SIGKILL)
            self._nspawn.kill()
            self._nspawn.wait(10)

    def wait_for_power_off(self, seconds: float) -> None:
        """Wait until the machine has shut itself down."""
        assert self._nspawn is not None
        assert self._nspawn.wait(seconds) == 0, self.console()

    def console(self) -> str:
        """Return the end of what the machine has printed while it booted."""
        return "\n".join(self._console.read_text(errors="replace").splitlines()[-40:])

    def remove_cgroups(self) -> None:
        """Remove the places of this machine, and what its systemd made below them."""
        for top in self._cgroups():
            for folder, _, _ in os.walk(top, topdown=False):
                with suppress(OSError):  # a process of the last moment; the kernel keeps it
                    Path(folder).rmdir()

    def _command(self) -> list[str]:
        command = ["setpriv", "--pdeathsig", "TERM"]  # a shutdown, when the tests are killed
        command += ["systemd-nspawn", "--quiet", "--settings=no", "--boot"]
        command += ["--register=no", "--keep-unit"]
        command += ["--console=pipe", "--resolv-conf=copy-host", "--timezone=off"]
        command += [f"--machine={self.name}", f"--directory={self.disk}"]
        command += [f"--cpu-affinity={','.join(map(str, self._cpus))}"] if self._cpus else []
        command += [f"--bind-ro={there}:{here}" for here, there in self._binds.items()]
        return [*command, *self._words]

    def _cgroups(self) -> list[Path]:
        pure = (CGROUPS / "cgroup.controllers").exists()
        homes = [CGROUPS] if pure else [CGROUPS / name for name in HIERARCHIES]
        return [home / f"visionfleet-{self.name}" for home in homes if home.is_dir()]

    def _enter_cgroups(self) -> None:
        """Take places of our own: nspawn's default ones would be shared by all machines."""
        for place in self._cgroups():
            place.mkdir(exist_ok=True)
            (place / "cgroup.procs").write_text(str(os.getpid()))

    def _find_leader(self) -> int:
        assert self._nspawn is not None
        assert self._nspawn.poll() is None, f"nspawn has ended; {self.console()}"
        pid = self._nspawn.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return int(child)
        return 0

    def _is_up(self) -> bool:
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in {"running", "degraded"}

    def _make_limits_work(self) -> None:
        """Make the controllers of cgroup v1 writable, or MemoryMax= and the like do nothing."""
        there = [name for name in HIERARCHIES[:5] if (CGROUPS / name).is_dir()]
        for name in there:
            self.run("mount", "-o", "remount,rw,bind", f"/sys/fs/cgroup/{name}", check=False)
        if there:
            self.systemctl("daemon-reexec")

    def _wait_for_end(self) -> int:
        assert self._nspawn is not None
        return self._nspawn.wait(OFF_SECONDS)


@contextmanager
def machine(
    folder: Path,
    packages: Sequence[str] = (),
    binds: Mapping[str, Path] | None = None,
    name: str = "",
    cpus: Sequence[int] = (),
) -> Iterator[Machine]:
    """Boot a machine with these packages beside the usual ones; `binds` are read-only.

    It has all CPUs of this host, or those in `cpus`.
    """
    with machine_of(root_folder(packages), folder, binds, name, cpus) as made:
        yield made


@contextmanager
def machine_of(
    root: Path,
    folder: Path,
    binds: Mapping[str, Path] | None = None,
    name: str = "",
    cpus: Sequence[int] = (),
    words: Sequence[str] = (),
    disk_size: str = "4g",
) -> Iterator[Machine]:
    """Boot a machine over this root, which stays as it is; `words` are for its systemd."""
    with _disk(root, folder, disk_size) as disk:
        made = Machine(disk, folder, name or f"vf{os.getpid()}", binds or {}, cpus, words)
        try:
            made.boot()
            yield made
        finally:
            made.power_off()
            made.remove_cgroups()


@contextmanager
def _disk(root: Path, folder: Path, size: str) -> Iterator[Path]:
    """Lay a disk in memory over the root: it is quick, and any file system will do below it."""
    memory = folder / "disk"
    memory.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(memory))
    try:
        for part in ("changes", "work", "whole"):
            (memory / part).mkdir()
        layers = f"lowerdir={root},upperdir={memory}/changes,workdir={memory}/work"
        _mount("-t", "overlay", "-o", layers, "overlay", str(memory / "whole"))
        try:
            yield memory / "whole"
        finally:
            _unmount(memory / "whole")
    finally:
        _unmount(memory)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, timeout=30)


def _unmount(place: Path) -> None:
    subprocess.run(["umount", "--recursive", "--lazy", str(place)], check=True, timeout=30)
