"""Bakes the image twice, from the locks, and says whether both have the same packages.

`make bake-twice` runs it, as root. Nothing is lent: some gigabytes come from PyPI each time, with
PyTorch's builds for GPUs, and lie in memory as long as a bake lasts.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from testkit.aws.embedded import Cloud, cloud
from testkit.machine import image
from testkit.machine.container import machine_of
from testkit.machine.root import OF_IMAGE, root_folder
from testkit.release import committed

SUITES = {"12": "bookworm", "13": "trixie"}
# Those of this host, where it trusts more than Debian does.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
DISK = "12g"
BAKE_SECONDS = 1500.0


def baked(folder: Path, debian: str, aws: Cloud) -> bytes:
    """Bake once and return the list of packages."""
    folder.mkdir()
    root = root_folder(OF_IMAGE, SUITES[debian])
    with machine_of(root, folder, name=f"bake{os.getpid()}", disk_size=DISK) as instance:
        instance.write("/etc/host.crt", CERTIFICATES.read_bytes())
        given = {"debian": debian, "install_environment": json.dumps({"PIP_CERT": "/etc/host.crt"})}
        source = committed(folder)
        key = folder / "key"
        output = image.bake(instance, source, "make ami", aws, key, given, BAKE_SECONDS)
    print("\n".join(line for line in output.splitlines() if "the image is" in line))
    return (source / "build/sbom.json").read_bytes()


def main() -> None:
    """Bake, compare, and keep the list in build."""
    debian = sys.argv[1]
    folder = Path(tempfile.mkdtemp())
    try:
        lists = []
        with cloud(folder, {}, image.amis(folder)) as aws:
            for count in (1, 2):
                started = time.monotonic()
                lists.append(baked(folder / str(count), debian, aws))
                components = len(json.loads(lists[-1])["components"])
                taken = time.monotonic() - started
                print(
                    f"bake {count}, Debian {debian}: {components} packages, {taken:.0f} s",
                    flush=True,
                )
    finally:
        shutil.rmtree(folder)
    Path("build").mkdir(exist_ok=True)
    Path(f"build/sbom-debian-{debian}.json").write_bytes(lists[0])
    if lists[0] != lists[1]:
        sys.exit("they differ")
    print("both have the same packages, byte for byte")


if __name__ == "__main__":
    main()
