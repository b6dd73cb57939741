"""Asks systemd by `systemctl`, as the user of this process."""

import subprocess
from pathlib import Path
from subprocess import DEVNULL, CompletedProcess

from visionfleet.errors import Denied, TryLater

RULE = "/usr/share/polkit-1/rules.d/50-visionfleet.rules"
POLKIT = Path("/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service")
BOOTED = Path("/run/systemd/system")  # it is there where systemd runs the machine


def systemctl(*arguments: str, timeout_seconds: float | None = 10.0) -> "CompletedProcess[str]":
    """Run it to its end, whatever its status; raises TryLater when it does not come to one."""
    command = ("systemctl", *arguments)
    try:
        return subprocess.run(
            command, stdin=DEVNULL, capture_output=True, text=True, timeout=timeout_seconds
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TryLater(f"{' '.join(command)}: {error}") from error


def answer(done: "CompletedProcess[str]") -> str:
    """Give what was printed; raises TryLater, or Denied where nobody lets us."""
    if done.returncode == 0:
        return done.stdout
    said = " ".join(done.stderr.split())
    if "authentication required" in said or "Access denied" in said:
        mend = f"`sudo visionfleet install` makes the rule {RULE}"
        if not POLKIT.exists():
            mend = f"it asks polkit: sudo apt-get install polkitd, and {mend}"
        raise Denied(f"systemd lets us start no classifiers: {mend}")
    raise TryLater(f"systemd: {said or f'systemctl: status {done.returncode}'}")
