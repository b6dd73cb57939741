"""Locks what the image is made of: versions and hashes of all packages of a host that classifies.

`make lock` runs it. The versions are those of this environment, with which the tests have run. One
lock holds for both Debians and both processors. PyTorch and what only its builds for GPUs need are
a lock of their own, because its builds for CPUs are not on PyPI.
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
PYTHON = "3.11"  # the oldest; versions for newer ones are marked
HEAD = "# Written by `make lock`, to be read by pip.\n"
_PIN = re.compile(r"^[a-z].*(?:\n[ #].*)*\n?", re.MULTILINE)
_OF_TORCH = re.compile(r"(?:torch|torchvision|triton|nvidia-\S+|cuda-\S+)==")


def split(text: str) -> tuple[str, str]:
    """Part what uv wrote into the lock of all others, and that of PyTorch."""
    pins = _PIN.findall(text)
    of_torch = [pin for pin in pins if _OF_TORCH.match(pin)]
    return "".join(pin for pin in pins if pin not in of_torch), "".join(of_torch)


def installed() -> str:
    """Pin what is here; builds of PyTorch for the CPU have `+cpu` behind their version."""
    pins = {f"{one.name}=={one.version.partition('+')[0]}" for one in distributions()}
    return "\n".join(sorted(pin for pin in pins if not pin.startswith("visionfleet==")))


def resolved(uv: str, pins: Path) -> str:
    """Have uv find what setup.py asks for, and what builds our package, among these pins."""
    builds = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", PYTHON]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-config"]
    command += ["--constraint", str(pins), "--extra", "classifier", str(ROOT / "setup.py"), "-"]
    given = "\n".join(builds)
    return subprocess.run(
        command, input=given, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def main() -> None:
    """Write both locks."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "pins.txt"
        pins.write_text(installed())
        parts = split(resolved(sys.argv[1], pins))
    for path, part in zip((LOCK, TORCH_LOCK), parts, strict=True):
        path.write_text(HEAD + part)


if __name__ == "__main__":
    main()
