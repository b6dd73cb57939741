"""Lists the packages of this machine, Debian's and Python's, as a CycloneDX document.

It has no time and no number of its own, so that two images of the same packages have the same list.
"""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageMetadata, distributions
from typing import Any
from urllib.parse import quote

OURS = "visionfleet"
Component = dict[str, Any]


def document(components: list[Component]) -> dict[str, Any]:
    """Put the components in order, with ours as what the rest is for; no I/O here."""
    by_name = sorted(components, key=lambda one: one["bom-ref"])
    (ours,) = (one for one in by_name if one["bom-ref"].startswith(f"pkg:pypi/{OURS}@"))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**ours, "type": "application"}},
        "components": [one for one in by_name if one is not ours],
    }


def component(kind: str, name: str, version: str, more: str = "") -> Component:
    """Name a package as a package URL does: an epoch or `+cpu` has letters that it must escape."""
    url = f"pkg:{kind}/{quote(name)}@{quote(version, safe='')}{more}"
    return {
        "type": "library",
        "bom-ref": url,
        "name": name.rpartition("/")[2],
        "version": version,
        "purl": url,
    }


def of_debian(lines: str, os_release: Mapping[str, str]) -> Iterator[Component]:
    """Read dpkg's list: package, version, architecture, state; some are gone but for files."""
    distro = f"{os_release['ID']}-{os_release['VERSION_ID']}"
    for line in lines.splitlines():
        name, version, architecture, state = line.split("\t")
        if state == "installed":
            yield component(
                "deb", f"debian/{name}", version, f"?arch={architecture}&distro={distro}"
            )


def of_python(metadata: PackageMetadata) -> Component:
    """Name it as PyPI does, with its licence where that is told as an expression of SPDX."""
    name = metadata["Name"].lower().replace("_", "-").replace(".", "-")
    found = component("pypi", name, metadata["Version"])
    if told := metadata.get_all("License-Expression"):
        found["licenses"] = [{"expression": each} for each in told]
    return found


def main() -> None:
    """Print the list."""
    shown = r"${Package}\t${Version}\t${Architecture}\t${db:Status-Status}\n"
    command = ["dpkg-query", "--show", f"--showformat={shown}"]
    packages = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {one["bom-ref"]: one for one in (of_python(each.metadata) for each in distributions())}
    debian = of_debian(packages, platform.freedesktop_os_release())
    json.dump(document([*debian, *found.values()]), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
