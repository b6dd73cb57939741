"""Locks what images are made of: versions and hashes of all packages of a host that classifies.

`make lock` runs it. The versions are those of this environment, with which the tests have run. One
lock holds for both Debians and both processors. PyTorch and what only its builds for GPUs need are
a lock of their own, because its builds for CPUs are not on PyPI, and so is what only containers
need: the embedded AWS and supervisor.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import distributions
from pathlib import Path

from testkit import ROOT

LOCK, TORCH_LOCK = ROOT / "packer/requirements.lock", ROOT / "packer/torch.lock"
LOCAL_LOCK = ROOT / "packer/local.lock"
PYTHON = "3.11"  # the oldest; versions for newer ones are marked
HEAD = "# Written by `make lock`, to be read by pip.\n"
_PIN = re.compile(r"^[a-z].*(?:\n[ #].*)*\n?", re.MULTILINE)
_NAME = re.compile(r"[^=]+")
_OF_TORCH = re.compile(r"(?:torch|torchvision|triton|nvidia-\S+|cuda-\S+)==")


def split(text: str) -> tuple[str, str]:
    """Part what uv wrote into the lock of all others, and that of PyTorch."""
    pins = _PIN.findall(text)
    of_torch = [pin for pin in pins if _OF_TORCH.match(pin)]
    return "".join(pin for pin in pins if pin not in of_torch), "".join(of_torch)


def besides(text: str, known: str) -> str:
    """Leave out what another lock has."""
    names = {_NAME.findall(pin)[0] for pin in _PIN.findall(known)}
    return "".join(pin for pin in _PIN.findall(text) if _NAME.findall(pin)[0] not in names)


def installed() -> str:
    """Pin what is here; builds of PyTorch for the CPU have `+cpu` behind their version."""
    pins = {f"{one.name}=={one.version.partition('+')[0]}" for one in distributions()}
    return "\n".join(sorted(pin for pin in pins if not pin.startswith("visionfleet==")))


def resolved(uv: str, pins: Path, *extras: str) -> str:
    """Have uv find what setup.py asks for, and what builds our package, among these pins."""
    builds = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", PYTHON]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-config"]
    command += [word for extra in extras for word in ("--extra", extra)]
    command += ["--constraint", str(pins), str(ROOT / "setup.py"), "-"]
    given = "\n".join(builds)
    return subprocess.run(
        command, input=given, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def main() -> None:
    """Write the locks."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "pins.txt"
        pins.write_text(installed())
        host = resolved(sys.argv[1], pins, "classifier")
        local = besides(resolved(sys.argv[1], pins, "classifier", "local"), host)
    for path, part in zip((LOCK, TORCH_LOCK, LOCAL_LOCK), (*split(host), local), strict=True):
        path.write_text(HEAD + part)


if __name__ == "__main__":
    main()
