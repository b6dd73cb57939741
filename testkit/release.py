"""The distributions of a version: a source archive, the wheel that it makes, and what is checked.

`make release` runs it, and tests build with it.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from packaging.metadata import Metadata

from testkit import ROOT
from testkit.machine.installed import pack_source
from visionfleet import __version__
from visionfleet.host.installation import UNITS

# What a host needs of the wheel beside the modules, and a builder of the source archive.
IN_WHEEL = (
    *(f"visionfleet/shipped/systemd/{unit}" for unit in UNITS),
    *("visionfleet/shipped/etc/visionfleet.yaml", "visionfleet/shipped/etc/local.yaml"),
    *(
        f"visionfleet/shipped/etc/supervisor/{role}.conf"
        for role in ("web", "scaler", "classifier")
    ),
    *("visionfleet/shipped/cloudformation/visionfleet.yaml", "visionfleet/shipped/docs/aws.md"),
    *("visionfleet/shipped/models/espresso.jpg", "visionfleet/model/efficientnet_lite.py"),
    *("visionfleet/py.typed", "visionfleetd/web/main.py"),
)
IN_ARCHIVE = (
    *("Makefile", "systemd/install.sh", "packer/visionfleet.pkr.hcl", "packer/files/50-ec2.yaml"),
    *("etc/visionfleet.yaml", "CHANGELOG.md", "LICENSE", "tests/conftest.py", ".ci/run"),
)


def sources(folder: Path) -> Path:
    """Copy the working copy, so that nothing that is built there is left in it."""
    place = folder / "source"
    place.mkdir()
    unpack = ["tar", "-xf", "-", "-C", str(place), "--no-same-owner"]
    subprocess.run(unpack, input=pack_source(), check=True)
    return place


def committed(folder: Path, change: Callable[[Path], None] = lambda _: None) -> Path:
    """Copy the working copy into a repository of its own, as its one commit, after a change."""
    place = sources(folder)
    change(place)
    git = ["git", "-C", str(place), "-c", "user.name=tests", "-c", "user.email=tests@localhost"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "Sources"]):
        subprocess.run([*git, *words], check=True, timeout=60)
    return place


def built_archive(folder: Path) -> Path:
    """Build the source archive, with the setuptools of this environment."""
    into = folder / "archive"
    into.mkdir()
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(into)!r})"
    _run([sys.executable, "-c", build], sources(folder))
    (archive,) = into.iterdir()
    return archive


def built_wheel(folder: Path, source: Path | None = None) -> Path:
    """Build the wheel as pip does, of a source archive or of the working copy."""
    into = folder / "wheel"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(into), str(source or sources(folder))]
    _run(command, folder)
    (wheel,) = into.iterdir()
    return wheel


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr


def faults(archive: Path, wheel: Path) -> Iterator[str]:
    """Tell what is wrong with the distributions of this version."""
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
        told = packed.read(f"visionfleet-{__version__}.dist-info/METADATA")
    yield from (f"{wheel.name}: no {name}" for name in IN_WHEEL if name not in names)
    yield from (f"{wheel.name}: {name}" for name in names if "__pycache__" in name)
    with tarfile.open(archive) as unpacked:
        inside = {name.partition("/")[2] for name in unpacked.getnames()}
    yield from (f"{archive.name}: no {name}" for name in IN_ARCHIVE if name not in inside)
    metadata = Metadata.from_email(told)  # raises for what an index would refuse
    if str(metadata.version) != __version__ or not metadata.description:
        yield f"{wheel.name}: its metadata are of {metadata.version}"


def untold() -> Iterator[str]:
    """Tell what the changelog lacks: a release begins it."""
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    if newest is None or newest[1] != __version__:
        yield f"CHANGELOG.md: its first section is not {__version__}"


def main() -> int:
    """Build and check into the folder that is named; sign with a key only if one is given."""
    into = Path(sys.argv[1])
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    if changed:
        print(f"not committed, so not released:\n{changed}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        archive = built_archive(Path(name))
        wheel = built_wheel(Path(name), archive)
        found = [*faults(archive, wheel), *untold()]
        if found:
            print(*found, sep="\n", file=sys.stderr)
            return 1
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True)
        made = [Path(shutil.copy(file, into)) for file in (archive, wheel)]
    sums = into / "SHA256SUMS"
    sums.write_text("".join(f"{_sha256(file)}  {file.name}\n" for file in made))
    if key := os.environ.get("SIGN_WITH"):
        subprocess.run(["gpg", "--local-user", key, "--detach-sign", "--armor", sums], check=True)
    print(*made, sums, sep="\n")
    return 0


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
