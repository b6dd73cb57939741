"""Brings the working copy onto a machine and runs `make install` there, as provisioning does."""

import io
import subprocess
import tarfile
from importlib.util import find_spec
from pathlib import Path

from testkit import ROOT
from testkit.machine.container import Machine

SOURCE = "/usr/src/visionfleet"
# Where the machine sees the packages that this host has; torch alone is hundreds of megabytes.
LIBRARIES = "/opt/libraries"
OFFLINE = {
    "PIP_NO_DEPS": "1",
    "PIP_NO_INDEX": "1",
    "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as the value of `build isolation`
    "PYTHONPATH": LIBRARIES,
}


def libraries() -> dict[str, Path]:
    """What to bind, so that `install` finds the dependencies."""
    spec = find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    return {LIBRARIES: Path(spec.origin).parents[1]}


def pack_source() -> bytes:
    """Pack the working copy, with files git does not ignore, into a tar archive."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in listing.stdout.splitlines():
            if (ROOT / name).is_file():
                archive.add(ROOT / name, name)
    return packed.getvalue()


def bring_source(machine: Machine) -> None:
    """Unpack the working copy on the machine."""
    machine.run("mkdir", "-p", SOURCE)
    machine.run("tar", "-xf", "-", "-C", SOURCE, "--no-same-owner", stdin=pack_source())


def install(machine: Machine, extras: str = "classifier") -> None:
    """Run `make install` with the host's packages in the place of downloads."""
    bring_source(machine)
    make = ["make", "-C", SOURCE, "install", f"EXTRAS={extras}"]
    machine.run(*make, environment=OFFLINE, seconds=180)
    site = "/opt/visionfleet/lib/python3.11/site-packages"
    machine.write(f"{site}/libraries.pth", LIBRARIES + "\n")
