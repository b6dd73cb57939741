"""`make install` into the root of another machine, and once more over an older installation."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testkit import ROOT
from testkit.machine.installed import OFFLINE, libraries, pack_source


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    subprocess.run(["tar", "-xf", "-", "-C", str(folder)], input=pack_source(), check=True)
    return folder


@pytest.fixture(scope="module")
def root(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("root")
    make(source, "install", made, "EXTRAS=classifier")
    return made


def make(source: Path, target: str, root: Path, *more: str) -> str:
    (where,) = libraries().values()
    done = subprocess.run(
        ["make", "-C", str(source), target, f"DESTDIR={root}", f"PYTHON={sys.executable}", *more],
        env={**os.environ, **OFFLINE, "PYTHONPATH": str(where)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_installed_scripts_name_their_final_path(root: Path) -> None:
    for name in ("visionfleet", "visionfleet-web", "visionfleet-scaler", "visionfleet-classifier"):
        link = root / "usr/bin" / name
        assert link.readlink() == Path("/opt/visionfleet/bin") / name
        script = (root / "opt/visionfleet/bin" / name).read_text()
        assert script.splitlines()[0] == "#!/opt/visionfleet/bin/python"
    for path in (root / "opt/visionfleet/bin").iterdir():
        assert path.is_symlink() or str(root).encode() not in path.read_bytes(), path


def test_installed_files_are_where_units_look(root: Path) -> None:
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    units = {f"usr/lib/systemd/system/{path.name}" for path in (ROOT / "systemd").glob("*.*[!hst]")}
    assert len([name for name in units if name.endswith(".service")]) >= 4
    assert {name for name in units if not name.endswith("users")} <= files
    assert {
        "usr/lib/sysusers.d/visionfleet.conf",
        "usr/share/polkit-1/rules.d/50-visionfleet.rules",
        "usr/lib/systemd/system-preset/50-visionfleet.preset",
        "usr/lib/systemd/system-generators/visionfleet-generator",
        "usr/share/doc/visionfleet/model-card.md",
        "usr/share/visionfleet/photos/967_espresso.jpg",
        "etc/visionfleet/visionfleet.yaml",
    } <= files
    assert (root / "etc/visionfleet/conf.d").is_dir()
    assert (root / "etc/credstore").stat().st_mode & 0o777 == 0o700


def test_reinstall_keeps_edited_files(root: Path, source: Path) -> None:
    edited = root / "etc/visionfleet/visionfleet.yaml"
    shipped = edited.read_text()
    edited.write_text("web: {port: 9000}\n")
    said = make(source, "install", root)
    assert edited.read_text() == "web: {port: 9000}\n"
    assert edited.with_name("visionfleet.yaml.new").read_text() == shipped
    assert "stays as it is" in said


def test_uninstall_leaves_configuration_and_keys(root: Path, source: Path) -> None:
    said = make(source, "uninstall", root)
    assert f"stays, and so do buckets, queues, and:\n{root}/etc/visionfleet\n" in said
    left = {path.relative_to(root).parts[0] for path in root.rglob("*") if path.is_file()}
    assert left == {"etc"}
    assert (root / "etc/visionfleet/visionfleet.yaml").exists()


@pytest.mark.parametrize(("given", "used"), [({}, "/var/tmp"), ({"TMPDIR": "/mnt"}, "/mnt")])
def test_install_unpacks_on_the_disk(given: dict[str, str], used: str, tmp_path: Path) -> None:
    """Where /tmp is memory, as on Debian 13, PyTorch's builds do not fit there."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$TMPDIR" >"$0.told"\nexit 1\n')
    python.chmod(0o755)
    where = {"DESTDIR": str(tmp_path), "PREFIX": "/opt/v", "EXTRAS": "", "PYTHON": str(python)}
    environment = {"PATH": os.environ["PATH"], **where, **given}
    script = str(ROOT / "systemd/install.sh")
    done = subprocess.run(["sh", script, "install"], env=environment, check=False)
    assert done.returncode == 1
    assert (tmp_path / "python.told").read_text().strip() == used
