"""Installs units, commands, configuration and manual pages for systemd and operators."""

import filecmp
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from visionfleet.errors import GiveUp
from visionfleet.host.systemctl import BOOTED, RULE

UNITS = (
    *("visionfleet.target", "visionfleet-classifiers.target", "visionfleet-web.service"),
    *("visionfleet-scaler.service", "visionfleet-classifier@.service"),
    *("visionfleet-poweroff.path", "visionfleet-poweroff.service"),
    *("visionfleet-instance.service", "visionfleet-signal.service"),
)
COMMANDS = ("visionfleet", "visionfleet-web", "visionfleet-scaler", "visionfleet-classifier")
STOP_SECONDS = 120.0  # above the longest TimeoutStopSec= of the units
_SYSTEMD = Path("usr/lib/systemd")
_SHARE = Path("usr/share/visionfleet")
_DOCUMENTS = Path("usr/share/doc/visionfleet")
_ETC = Path("etc/visionfleet")


@dataclass(frozen=True, slots=True)
class Placed:
    """A file: its path in the sources, and its destination below the machine's root."""

    source: str
    target: Path
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Installation:
    """`prefix` is the virtual environment, as seen by the machine whose root is `root`."""

    root: Path
    prefix: Path
    shipped: Callable[[str], Path]
    say: Callable[[str], None] = print

    def install(self) -> None:
        for placed in self._files():
            self._place(placed)
        for command in COMMANDS:
            link = self.root / "usr/bin" / command
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(self.prefix / "bin" / command)
        (self.root / _ETC / "conf.d").mkdir(parents=True, exist_ok=True)
        (self.root / "etc/credstore").mkdir(mode=0o700, parents=True, exist_ok=True)
        self._configure()
        if self.is_this_machine:
            _run("systemd-sysusers", "visionfleet.conf")
            self._reload_systemd()

    def remove(self) -> None:
        """Stop and uninstall; configuration, keys, state and the user stay."""
        if self.is_this_machine and BOOTED.exists():
            _run("systemctl", "stop", "visionfleet.target", "visionfleet*")
            _run("systemctl", "disable", "--quiet", *UNITS)
        for placed in self._files():
            (self.root / placed.target).unlink(missing_ok=True)
        for command in COMMANDS:
            (self.root / "usr/bin" / command).unlink(missing_ok=True)
        for folder in (_SHARE, _DOCUMENTS):
            shutil.rmtree(self.root / folder, ignore_errors=True)
        if self.is_this_machine:
            self._reload_systemd()

    def left(self) -> Iterator[Path]:
        """What an uninstall leaves."""
        state = (
            "var/lib/visionfleet",
            "var/cache/visionfleet",
            "etc/systemd/system/visionfleet*.d",
        )
        for pattern in (str(_ETC), "etc/credstore/visionfleet-web-keys*", *state):
            yield from sorted(self.root.glob(pattern))

    @property
    def is_this_machine(self) -> bool:
        return self.root.resolve() == Path("/")

    def _files(self) -> Iterator[Placed]:
        for unit in UNITS:
            yield Placed(f"systemd/{unit}", _SYSTEMD / "system" / unit)
        generators = _SYSTEMD / "system-generators"
        yield Placed(
            "systemd/visionfleet-generator.sh", generators / "visionfleet-generator", 0o755
        )
        preset = _SYSTEMD / "system-preset/50-visionfleet.preset"
        yield Placed("systemd/visionfleet.preset", preset)
        yield Placed("systemd/visionfleet.rules", Path(RULE).relative_to("/"))
        yield Placed("systemd/visionfleet.sysusers", Path("usr/lib/sysusers.d/visionfleet.conf"))
        yield Placed("models/espresso.jpg", _SHARE / "photos/967_espresso.jpg")
        yield Placed("models/README.md", _DOCUMENTS / "model-card.md")
        for page in sorted(self.shipped("docs").glob("*.md")):
            yield Placed(f"docs/{page.name}", _DOCUMENTS / page.name)

    def _place(self, placed: Placed) -> None:
        target = self.root / placed.target
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.shipped(placed.source), target)
        target.chmod(placed.mode)

    def _configure(self) -> None:
        """Keep an edited file, and put this version's beside it."""
        source, own = self.shipped("etc/visionfleet.yaml"), self.root / _ETC / "visionfleet.yaml"
        if not own.exists():
            shutil.copyfile(source, own)
            own.chmod(0o644)
        elif not filecmp.cmp(source, own, shallow=False):
            shutil.copyfile(source, f"{own}.new")
            self.say(f"{own} stays as it is; the new one is {own}.new")

    def _reload_systemd(self) -> None:
        if BOOTED.exists():
            _run("systemctl", "daemon-reload")


def fault_of_place(prefix: Path, base: Path) -> str | None:
    """Why units could not run what is installed in `prefix`; None if they can."""
    if prefix == base:
        return (
            "install visionfleet into an environment of its own: python3 -m venv /opt/visionfleet"
        )
    if prefix.is_relative_to("/home") or prefix.is_relative_to("/root"):
        return f"{prefix}: units see no homes; install visionfleet into /opt/visionfleet"
    return None


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=STOP_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GiveUp(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise GiveUp(f"{' '.join(command)}: {os.linesep.join((done.stdout, done.stderr)).strip()}")
