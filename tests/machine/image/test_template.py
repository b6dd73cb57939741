"""The template and its scripts, without building anything."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from testkit import ROOT
from testkit.machine.image import TEMPLATE, need_packer, packer

FOLDER = TEMPLATE.parent
DEFAULTS = dict(
    re.findall(r'variable "(\w+)" {.*?default\s+= (.*?)\n', TEMPLATE.read_text(), re.DOTALL)
)


@pytest.fixture
def archive(tmp_path: Path) -> str:
    need_packer()
    path = tmp_path / "sources.tar.gz"
    path.touch()
    return f"-var=source_archive={path}"


def test_packer_template_is_valid_with_its_defaults(archive: str) -> None:
    done = packer("validate", archive, str(TEMPLATE))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("-var=architecture=riscv", "The architecture is amd64 or arm64"),
        ("-var=debian=11", "The version of Debian is 12 or 13"),
        ("-var=volume_gib=much", "a number is required"),
        ("-var=regoin=eu-central-1", "regoin"),
    ],
)
def test_packer_refuses_a_wrong_variable(archive: str, given: str, told: str) -> None:
    done = packer("validate", archive, given, str(TEMPLATE))
    assert done.returncode == 1
    assert told in done.stdout


def test_packer_files_are_formatted() -> None:
    need_packer()
    assert packer("fmt", "-check", str(FOLDER)).returncode == 0


def test_packer_plugins_are_named_apart_for_old_versions() -> None:
    assert "required_plugins" not in TEMPLATE.read_text()
    assert "required_plugins" in (FOLDER / "plugins.pkr.hcl").read_text()


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.sh")), ids=lambda path: path.name)
def test_image_scripts_are_posix_shell(script: Path) -> None:
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0


def test_packer_variables_are_documented() -> None:
    text = (ROOT / "docs" / "ami.md").read_text()
    for_tests = {"ec2_endpoint_url", "source_archive"} | {n for n in DEFAULTS if n[:4] == "ssh_"}
    assert [name for name in DEFAULTS.keys() - for_tests if f"`{name}`" not in text] == []


def test_image_gives_metadata_by_imdsv2_in_each_region(tmp_path: Path) -> None:
    shim = tmp_path / "bin/aws"
    shim.parent.mkdir()
    shim.write_text('#!/bin/sh\necho "$@" >>"$TOLD"\n')
    shim.chmod(0o755)
    builds = [
        {"artifact_id": "us-east-1:ami-0"},
        {"artifact_id": "us-east-1:ami-1,eu-west-1:ami-2"},
    ]
    (tmp_path / "build").mkdir()
    (tmp_path / "build/ami.json").write_text(json.dumps({"builds": builds}, indent=2))
    path, told = f"{shim.parent}:{os.environ['PATH']}", tmp_path / "told"
    script, environment = str(FOLDER / "imdsv2.sh"), {"PATH": path, "TOLD": str(told)}
    subprocess.run(["sh", script], cwd=tmp_path, env=environment, check=True)
    change = '--imds-support {"Value": "v2.0"}'
    assert told.read_text().splitlines() == [
        f"--region us-east-1 ec2 modify-image-attribute --image-id ami-1 {change}",
        f"--region eu-west-1 ec2 modify-image-attribute --image-id ami-2 {change}",
    ]
    shim.write_text("#!/bin/sh\nexit 1\n")
    done = subprocess.run(["sh", script], cwd=tmp_path, env=environment, check=False)
    assert done.returncode != 0


def test_packer_defaults_are_for_real_aws() -> None:
    for name in (
        "ec2_endpoint_url",
        "ssh_host",
        "ssh_private_key_file",
        "subnet_id",
        "debian_snapshot",
    ):
        assert DEFAULTS[name] == '""'
    assert DEFAULTS["install_environment"] == "{}"
