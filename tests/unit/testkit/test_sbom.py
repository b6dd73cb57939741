"""The list of an image's packages."""

import runpy
from email.message import Message
from importlib.metadata import PackageMetadata
from typing import Any, cast

import pytest

from testkit import ROOT

SBOM = runpy.run_path(str(ROOT / "packer/sbom.py"))
DEBIAN = {"ID": "debian", "VERSION_ID": "13"}


def metadata(**fields: str) -> PackageMetadata:
    message = Message()
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    return cast(PackageMetadata, message)


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"Name": "torch", "Version": "2.14.1+cpu"}, "pkg:pypi/torch@2.14.1%2Bcpu"),
        ({"Name": "Foo_Bar.Baz", "Version": "1!2.0"}, "pkg:pypi/foo-bar-baz@1%212.0"),
    ],
)
def test_sbom_names_python_packages_by_url(fields: dict[str, str], url: str) -> None:
    assert SBOM["of_python"](metadata(**fields))["purl"] == url


def test_sbom_tells_licences_that_are_expressions() -> None:
    told = metadata(Name="a", Version="1", License_Expression="MIT OR Apache-2.0")
    assert SBOM["of_python"](told)["licenses"] == [{"expression": "MIT OR Apache-2.0"}]
    assert "licenses" not in SBOM["of_python"](metadata(Name="a", Version="1", License="free"))


def test_sbom_names_debian_packages_by_url() -> None:
    lines = (
        "libstdc++6\t12.2.0-14+deb12u1\tamd64\tinstalled\n"
        "gone\t1\tall\tconfig-files\n"
        "passwd\t1:4.13+dfsg1-1\tamd64\tinstalled\n"
    )
    found: list[dict[str, Any]] = list(SBOM["of_debian"](lines, DEBIAN))
    assert [each["purl"] for each in found] == [
        "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-13",
        "pkg:deb/debian/passwd@1%3A4.13%2Bdfsg1-1?arch=amd64&distro=debian-13",
    ]
    assert [each["name"] for each in found] == ["libstdc++6", "passwd"]


def test_sbom_of_the_same_packages_is_the_same() -> None:
    named = [("b", "2"), ("visionfleet", "0.2.0"), ("a", "1")]
    made = [SBOM["component"]("pypi", name, version) for name, version in named]
    document = SBOM["document"](made)
    assert document == SBOM["document"](made[::-1])
    assert document["metadata"]["component"]["type"] == "application"
    assert [each["name"] for each in document["components"]] == ["a", "b"]
