"""A complete `packer build` of the shipped template, on a booted machine in place of an instance.

EC2 is the embedded AWS, which makes no disks: the image is what lies on the machine's disk then.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from testkit import ROOT
from testkit.aws.embedded import CREDENTIALS, Cloud
from testkit.lock import LOCK, TORCH_LOCK
from testkit.machine.container import Machine, machine
from testkit.machine.installed import LIBRARIES, libraries
from testkit.machine.root import OF_IMAGE, need_machines
from testkit.processes.ports import free_port
from testkit.release import committed

TEMPLATE = ROOT / "packer" / "visionfleet.pkr.hcl"
PACKER_SECONDS = 500.0
DEBIAN = {
    "owner_id": "136693071363",
    "public": True,
    "architecture": "x86_64",
    "image_type": "machine",
    "platform": None,
    "state": "available",
    "virtualization_type": "hvm",
    "hypervisor": "xen",
    "root_device_name": "/dev/xvda",
    "root_device_type": "ebs",
    "sriov": "simple",
    "creation_date": "2026-01-01T00:00:00.000Z",
}
# torch is five gigabytes: the machine borrows the packages of the tests, whose Python is of the
# same version. pip finds them there, so what is installed is checked against what is required.
SITECUSTOMIZE = f"""import sys
places = [place for place in sys.path if place.endswith("site-packages")]
sys.path.insert(sys.path.index(places[0]) if places else len(sys.path), "{LIBRARIES}")
"""
_PIN = re.compile(r"^([a-z0-9-]+)==[^ ]+((?:.*\\\n)*.*\n)", re.MULTILINE)
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
# What cloud-init does on Debian's image: a user with the key of whoever launched it.
FIRST_BOOT = """
echo "127.0.0.1 $(hostname)" >>/etc/hosts
useradd --create-home --key HOME_MODE=0700 --shell /bin/bash admin
echo 'admin ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/90-cloud-init-users
install -d -m 700 -o admin -g admin /home/admin/.ssh
install -m 600 -o admin -g admin /dev/stdin /home/admin/.ssh/authorized_keys
printf 'Port %s\\nListenAddress 127.0.0.1\\n' "$1" >/etc/ssh/sshd_config.d/test.conf
systemctl restart ssh.service
"""


@dataclass(frozen=True)
class BakedImage:
    """A baked image: the machine's disk after it was switched off, what Packer said, and where
    it has left its files."""

    id: str
    disk: Path
    output: str
    build: Path


def need_packer() -> None:
    """Skip where the image cannot be made; fail where CI must be able to."""
    missing = [name for name in ("packer", "ssh-keygen", "aws") if shutil.which(name) is None]
    if missing:
        install = "sudo apt-get install packer openssh-client awscli"
        reason = f"no {' and no '.join(missing)}: {install}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs Packer: {reason}")
        pytest.skip(reason)


def amis(folder: Path) -> dict[str, str]:
    """Make the environment in which the embedded AWS knows Debian's images."""
    path = folder / "amis.json"
    images = [
        {
            **DEBIAN,
            "ami_id": f"ami-0deb{release}deb{release}deb{release}0",
            "name": f"debian-{release}-amd64-20260101-0000",
            "description": f"Debian {release}",
            "image_location": f"amazon/debian-{release}",
        }
        for release in (12, 13)
    ]
    path.write_text(json.dumps(images))
    return {"MOTO_AMIS_PATH": str(path)}


@contextmanager
def baked_image(folder: Path, command: str, aws: Cloud) -> Iterator[BakedImage]:
    """Bake an image by this command; it is there for the length of a with block."""
    need_machines()
    need_packer()
    key = folder / "key"
    with machine(folder, OF_IMAGE, libraries(), name=f"bake{os.getpid()}") as instance:
        instance.write("/etc/python3.11/sitecustomize.py", SITECUSTOMIZE)
        source = committed(folder, lend)
        given = {"install_environment": json.dumps(OFFLINE)}
        output = bake(instance, source, command, aws, key, given)
        instance.power_off()
        build = source / "build"
        made = json.loads((build / "ami.json").read_text())
        id_ = made["builds"][0]["artifact_id"].partition(":")[2]
        yield BakedImage(id_, instance.disk, output, build)


def lend(source: Path) -> None:
    """Have the locks name the versions that are lent; pip does not look at hashes of these."""
    for lock in (LOCK, TORCH_LOCK):
        path = source / lock.relative_to(ROOT)
        path.write_text(_PIN.sub(_lent, path.read_text()))


def _lent(pin: re.Match[str]) -> str:
    """Write the pin with the version that is here; newer releases may not need the package."""
    try:
        here = version(pin[1]).partition("+")[0]
    except PackageNotFoundError:
        return ""
    return f"{pin[1]}=={here}{pin[2]}"


def packer(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run packer to its end; it is to call nobody."""
    return _run(["packer", *arguments], ROOT, {})


def _run(
    argv: list[str], cwd: Path, given: Mapping[str, str], seconds: float = PACKER_SECONDS
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **CREDENTIALS, "CHECKPOINT_DISABLE": "1", "PACKER_NO_COLOR": "1"}
        | {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1", **given},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )


def bake(
    instance: Machine,
    source: Path,
    command: str,
    aws: Cloud,
    key: Path,
    given: Mapping[str, str],
    seconds: float = PACKER_SECONDS,
) -> str:
    """Type the page's command; a stand-in of EC2 and of its instance is all that differs."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    port = free_port()
    public = Path(f"{key}.pub").read_bytes()
    instance.run("sh", "-euc", FIRST_BOOT, "sh", str(port), stdin=public)
    variables = {
        "ec2_endpoint_url": aws.endpoint_url,
        "ssh_host": "127.0.0.1",
        "ssh_port": str(port),
        "ssh_private_key_file": str(key),
        "torch_index_url": "",
        **given,
    }
    environment = {f"PKR_VAR_{name}": value for name, value in variables.items()}
    done = _run(["bash", "-euc", command], source, environment, seconds)
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout
