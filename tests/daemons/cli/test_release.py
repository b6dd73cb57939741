"""The wheel and the source archive: what is in them, and that they work without a checkout."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from testkit import ROOT, pages, release
from testkit.aws.embedded import Cloud
from testkit.processes.daemons import started
from testkit.processes.ports import free_port
from visionfleet import __version__


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("release")


@pytest.fixture(scope="module")
def archive(folder: Path) -> Path:
    return release.built_archive(folder)


@pytest.fixture(scope="module")
def wheel(folder: Path, archive: Path) -> Path:
    return release.built_wheel(folder, archive)


@pytest.fixture(scope="module")
def environment(folder: Path, wheel: Path) -> dict[str, str]:
    """An environment in which pip finds our wheel, and what it depends on where the tests are."""
    venv, conf = folder / "venv", folder / "pip.conf"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    found = subprocess.run(
        [str(venv / "bin/python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    # All that the tests have, but for what ties their environment to a checkout.
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if "visionfleet" not in package.name and package.suffix != ".pth":
            Path(found.stdout.strip(), package.name).symlink_to(package)
    conf.write_text(f"[global]\nno-index = true\nfind-links = {wheel.parent}\n")
    for name in ("pip", "supervisord"):
        command = f"#!{venv}/bin/python\nimport runpy\n{MODULES[name]}"
        (venv / "bin" / name).write_text(command)
        (venv / "bin" / name).chmod(0o755)
    ours = ("VISIONFLEET_", "AWS_", "PIP_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PATH": f"{venv}/bin:/usr/bin:/bin", "PIP_CONFIG_FILE": str(conf)}


MODULES = {
    "pip": "runpy.run_module('pip', run_name='__main__')\n",
    "supervisord": "from supervisor.supervisord import main\nmain()\n",
}


def typed(command: str, environment: Mapping[str, str], folder: Path) -> str:
    argv = ["bash", "-euc", command]
    done = subprocess.run(
        argv, env=environment, cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_distributions_hold_what_a_host_needs(archive: Path, wheel: Path) -> None:
    assert list(release.faults(archive, wheel)) == []
    assert f"## {__version__} " in (ROOT / "CHANGELOG.md").read_text()
    with zipfile.ZipFile(wheel) as packed:
        (points,) = [name for name in packed.namelist() if name.endswith("entry_points.txt")]
        assert packed.read(points).count(b"visionfleet") >= 4


def test_page_on_supervisor_works_from_the_wheel(
    running_aws: Cloud, environment: dict[str, str], folder: Path, wheel: Path
) -> None:
    _, install, _, defaults, run, *_ = pages.commands("docs/supervisor.md")
    (folder / "dist").symlink_to(wheel.parent)
    typed(install, environment, folder)
    assert typed("visionfleet --version", environment, folder).strip() == __version__
    config = folder / "visionfleet.yaml"
    typed(defaults.replace("/etc/visionfleet/visionfleet.yaml", str(config)), environment, folder)
    where = {**environment, **running_aws.environment, "VISIONFLEET_CONFIG": str(config)}
    where |= {"VISIONFLEET_WEB__PORT": str(free_port()), "PYTHONPATH": ""}
    argv = ["bash", "-euc", f"exec {run}"]
    with started(argv, folder / "web.log", where, folder, stop_seconds=45) as web:
        web.wait_for_output("web: ready", 60)
        assert f"{folder}/venv" in Path(f"/proc/{web.pid}/cmdline").read_text()


@pytest.mark.skipif(Path("/etc/visionfleet/visionfleet.yaml").exists(), reason="this is a host")
def test_command_without_a_configuration_says_how(
    environment: dict[str, str], folder: Path
) -> None:
    typed("pip install --quiet visionfleet", environment, folder)
    done = subprocess.run(
        ["bash", "-c", "visionfleet status"], env=environment, cwd=folder, capture_output=True
    )
    assert done.returncode == 78
    assert b"there is none; name one by --config or VISIONFLEET_CONFIG" in done.stderr


def test_install_outside_an_environment_of_its_own_says_how(
    environment: dict[str, str], folder: Path
) -> None:
    typed("pip install --quiet visionfleet", environment, folder)
    argv = ["bash", "-c", "visionfleet install --root root --prefix /home/ann/venv"]
    done = subprocess.run(argv, env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1
    assert "install visionfleet into /opt/visionfleet" in done.stderr
