"""Runs `systemctl` as this process's user."""

import subprocess
from pathlib import Path
from subprocess import DEVNULL, CompletedProcess

from visionfleet.errors import Denied, TryLater

RULE = "/usr/share/polkit-1/rules.d/50-visionfleet.rules"
POLKIT = Path("/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service")
BOOTED = Path("/run/systemd/system")  # exists where systemd is the init system


def systemctl(*arguments: str, timeout_seconds: float | None = 10.0) -> "CompletedProcess[str]":
    """Run it, whatever its exit status; raises TryLater if it does not finish."""
    command = ("systemctl", *arguments)
    try:
        return subprocess.run(
            command, stdin=DEVNULL, capture_output=True, text=True, timeout=timeout_seconds
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TryLater(f"{' '.join(command)}: {error}") from error


def answer(done: "CompletedProcess[str]") -> str:
    """The output; raises TryLater, or Denied without permission."""
    if done.returncode == 0:
        return done.stdout
    said = " ".join(done.stderr.split())
    if "authentication required" in said or "Access denied" in said:
        mend = f"`sudo visionfleet install` makes the rule {RULE}"
        if not POLKIT.exists():
            mend = f"it asks polkit: sudo apt-get install polkitd, and {mend}"
        raise Denied(f"systemd lets us start no classifiers: {mend}")
    raise TryLater(f"systemd: {said or f'systemctl: status {done.returncode}'}")
