"""The root of a Debian machine for tests: made once by mmdebstrap, kept, and never changed."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

SUITE = "bookworm"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "libnss-systemd", "procps", "curl"),
    *("python3", "python3-venv", "make", "polkitd"),  # what `make install` and the scaler need
)
# What Debian's image for EC2 has beside these, but for cloud-init.
OF_IMAGE = ("ca-certificates", "openssh-server", "sudo")
TOOLS = ("systemd-nspawn", "mmdebstrap")
# Raise it when the way of making changes and the packages do not.
RECIPE = 1


def need_machines() -> None:
    """Skip where no machine can be booted; fail where CI must have them."""
    if os.geteuid() != 0:
        _without("machines are booted as root; run these tests as root")
    missing = _missing()
    if missing:
        install = "sudo apt-get install systemd-container mmdebstrap"
        _without(f"no {' and no '.join(missing)}: {install}")


def _missing() -> list[str]:
    return [name for name in TOOLS if shutil.which(name) is None]


def _without(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs booted machines: {reason}")
    pytest.skip(reason)


def root_folder(more: Sequence[str] = (), suite: str = SUITE) -> Path:
    """Find the root with these packages more, or make it, which takes half a minute."""
    need_machines()
    packages = sorted({*PACKAGES, *more})
    digest = hashlib.sha256(f"{RECIPE} {suite} {packages}".encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "visionfleet-tests"
    cache.mkdir(parents=True, exist_ok=True)
    root = cache / f"root-{digest}"
    with (cache / f"root-{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be at it
        if not root.exists():
            _make(root, suite, packages)
    return root


def _make(root: Path, suite: str, packages: Sequence[str]) -> None:
    """Make it beside its place, so that one which is there is whole."""
    unfinished = root.with_suffix(".partial")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase"]
    command += [f"--include={','.join(packages)}", suite, str(unfinished)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stderr}"
    unfinished.rename(root)


def main() -> None:
    """Make what the tests of machines will look for; where it cannot be made, they say why."""
    if os.geteuid() == 0 and not _missing():
        for more in ((), OF_IMAGE):
            root_folder(more)


if __name__ == "__main__":
    main()
