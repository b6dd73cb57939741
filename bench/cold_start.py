"""How long daemons take to READY after the boot of their machine, from a slow disk.

`sudo python -m bench.cold_start`. The machine is a booted systemd with a disk of its own, a loop
device with ext4 that reads 128 KiB ahead: Debian, `make install`, the libraries of the extra
`classifier` but torch, and the artefact, as a bake leaves it. For each start the disk is mounted
anew, so that nothing of it is in the page cache, and the machine boots; systemd then lets the unit
read so many MiB a second (--mib-per-second), and what the disk has read until READY is counted.
Needs root and what tests of machines need (README). On a machine that others use, --first gives
the booted one nearly all of the CPU while it wants it.
"""

import argparse
import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from bench import workload
from bench.figures import median, show, update
from testkit.aws.embedded import Cloud, add_template, cloud, ec2_client
from testkit.machine.container import CGROUPS, Machine
from testkit.machine.host import CLASSIFIERS, SCALER, SETTINGS, WEB, write_environment
from testkit.machine.installed import install, libraries
from testkit.machine.root import root_folder
from testkit.processes.ports import free_port
from visionfleet.config import load
from visionfleet.model import making

UNITS = {"default": CLASSIFIERS[0], "resnet18": CLASSIFIERS[0], "web": WEB, "scaler": SCALER}
OWN_LIBRARIES = "/opt/own"
READ_AHEAD_KIB = 128
TEXT = """
aws: {{endpoint_url: {endpoint}}}
web: {{port: {port}}}
queue: {{wait_seconds: 2}}
scaler: {{fleet: ec2}}
ec2: {{launch_template: workers}}
"""
MODELS = "/var/lib/models"
_NEW_MOUNTS = 0x00020000  # CLONE_NEWNS
# The most that cgroups give, of version 1 and of 2.
_WEIGHTS = {"cpu/visionfleet-{}/cpu.shares": 262144, "visionfleet-{}/cpu.weight": 10000}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/cold_start.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--mib-per-second", type=int, default=100)
    parser.add_argument("--only", nargs="+", choices=UNITS, default=list(UNITS))
    parser.add_argument("--first", action="store_true", help="before all other programs")
    arguments = parser.parse_args()
    take_mounts_apart()
    with tempfile.TemporaryDirectory() as name, cloud(Path(name)) as aws:
        figures = measured(aws, Path(name), arguments)
    columns = ["cold_ready_seconds", "disk_read_mib"]
    rows = [[name, *(f"{found[c]:.2f}" for c in columns)] for name, found in figures.items()]
    show("cold start", ["daemon", "ready s", "of the disk MiB"], rows)
    how = {"mib_per_second": arguments.mib_per_second, "read_ahead_kib": READ_AHEAD_KIB}
    print(f"written: {update('start', how | figures)}")


def measured(
    aws: Cloud, folder: Path, arguments: argparse.Namespace
) -> dict[str, dict[str, float]]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in arguments.only}
    with slow_disk(folder / "disk.img") as device:
        with mounted(device, folder) as disk:
            variables = prepared(aws, folder, disk, arguments)
        for _ in range(arguments.runs):
            for name in arguments.only:
                with (
                    mounted(device, folder) as disk,
                    booted(folder, disk, first=arguments.first) as machine,
                ):
                    write_environment(machine, **variables[name])
                    found[name].append(started(machine, UNITS[name], device))
    return {
        name: {key: median([one[key] for one in some]) for key in some[0]}
        for name, some in found.items()
    }


def prepared(
    aws: Cloud, folder: Path, disk: Path, arguments: argparse.Namespace
) -> dict[str, dict[str, str]]:
    """Fill the disk as a bake does; which variables have its workers take which model."""
    done("cp", "-a", f"{root_folder()}/.", str(disk))
    copy_libraries(disk / OWN_LIBRARIES.lstrip("/"))
    variables: dict[str, dict[str, str]] = {name: {} for name in arguments.only}
    for name in {"default", "resnet18"} & {*variables}:
        variables[name] = artefact_of(name, folder, disk)
    add_template(ec2_client(aws))
    with booted(folder, disk, libraries()) as machine:
        install(machine)
        site = "/opt/visionfleet/lib/python3.11/site-packages/libraries.pth"
        machine.write(site, OWN_LIBRARIES + "\n")
        machine.write(SETTINGS, TEXT.format(endpoint=aws.endpoint_url, port=free_port()))
        most = arguments.mib_per_second * 2**20
        for name, own in variables.items():
            limits = f"/etc/systemd/system/{UNITS[name]}.d/limits.conf"
            machine.write(limits, f"[Service]\nIOReadBandwidthMax=/ {most}\n")
            machine.systemctl("daemon-reload")
            write_environment(machine, **own)
            machine.systemctl("start", UNITS[name])  # what else is made by a first start is there
            machine.systemctl("stop", UNITS[name])
    return variables


def started(machine: Machine, unit: str, device: str) -> dict[str, float]:
    """Start a daemon on a machine that has just booted: seconds, and MiB that its disk has read."""
    before, began = read_mib(device), time.monotonic()
    machine.systemctl("start", unit)
    seconds = time.monotonic() - began
    found = {"cold_ready_seconds": seconds, "disk_read_mib": read_mib(device) - before}
    print(found, machine.journal("-u", unit, "-g", "ready ", "-n", "1"), sep="\n")
    return found


def artefact_of(name: str, folder: Path, disk: Path) -> dict[str, str]:
    """Make the artefact, as `visionfleet model build` does, and lay it on the disk."""
    made = Path(tempfile.mkdtemp(dir=folder))
    environment = {**os.environ, **workload.models(made)[name]}
    environment |= {"VISIONFLEET_MODEL__RUNTIME": "openvino", "VISIONFLEET_CONFIG": "/dev/null"}
    _, path = making.build(load(None, environment).config, made, share=False)
    place = disk / MODELS.lstrip("/")
    place.mkdir(exist_ok=True)
    shutil.copyfile(path, place / f"{name}.artefact")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "VISIONFLEET_MODEL__NAME": f"{name}-model",
        "VISIONFLEET_MODEL__PATH": f"{MODELS}/{name}.artefact",
        "VISIONFLEET_MODEL__SHA256": f"'{digest}'",
    }


def copy_libraries(place: Path) -> None:
    """Copy what the extra `classifier` installs, but torch, with its bytecode."""
    for name in wanted("visionfleet", "classifier"):
        for file in distribution(name).files or ():
            source = Path(str(file.locate()))
            if ".." not in file.parts and source.exists():
                (place / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, place / file)


def wanted(name: str, extra: str = "") -> set[str]:
    """Names of the packages that a package requires, and theirs; not of itself."""
    lines = [Requirement(line) for line in distribution(name).requires or ()]
    some = {r.name for r in lines if r.marker is None or r.marker.evaluate({"extra": extra})}
    some -= {"torch", "torchvision"}
    return some.union(*(wanted(each) for each in some))


@contextmanager
def slow_disk(image: Path) -> Iterator[str]:
    """Make a loop device with an empty file system; how fast it is, its users' limits say."""
    with image.open("wb") as file:
        file.truncate(4 << 30)
    done("mkfs.ext4", "-q", "-F", str(image))
    device = done("losetup", "--find", "--show", "--direct-io=on", str(image)).strip()
    try:
        block(device, "queue/read_ahead_kb").write_text(str(READ_AHEAD_KIB))
        yield device
    finally:
        done("losetup", "--detach", device)


@contextmanager
def mounted(device: str, folder: Path) -> Iterator[Path]:
    place = folder / "mounted"
    place.mkdir(exist_ok=True)
    done("mount", device, str(place))
    try:
        yield place
    finally:
        done("umount", "--recursive", str(place))


@contextmanager
def booted(
    folder: Path, disk: Path, binds: Mapping[str, Path] | None = None, first: bool = False
) -> Iterator[Machine]:
    machine = Machine(disk, folder, f"vf{os.getpid()}", binds or {})
    try:
        machine.boot()
        for file, weight in _WEIGHTS.items():
            path = CGROUPS / file.format(machine.name)
            if first and path.exists():
                path.write_text(str(weight))
        yield machine
    finally:
        machine.power_off()
        machine.remove_cgroups()


def take_mounts_apart() -> None:
    """Have no other container of this host hold on to the disk when it is unmounted."""
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare: run it as root")
    done("mount", "--make-rprivate", "/")


def read_mib(device: str) -> float:
    return int(block(device, "stat").read_text().split()[2]) * 512 / 2**20


def block(device: str, name: str) -> Path:
    return Path("/sys/block", Path(device).name, name)


def done(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout


if __name__ == "__main__":
    main()
