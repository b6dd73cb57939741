"""The `visionfleet` command as a real process: help, arguments, configuration."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from testkit import ROOT
from testkit.processes.cli import MAIN, config_file, visionfleet
from testkit.processes.daemons import PYTHONPATH


def json_lines(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def test_help_names_every_subcommand() -> None:
    done = visionfleet("--help")
    assert done.returncode == 0
    for name in ("up", "demo", "classify", "status", "config", "provision", "embedded-aws"):
        assert f"\n    {name} " in done.stdout or f"\n    {name}\n" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    heavy = ("botocore", "pydantic", "torch", "rich", "urllib3", "yaml", "moto", "PIL")
    code = (
        "import sys; from visionfleet.cli import main\n"
        "try: main(['--help'])\n"
        f"finally: sys.exit(','.join(m for m in {heavy} if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        check=False,
    )
    assert done.stderr.strip() == b""


@pytest.mark.parametrize(
    "arguments",
    [(), ("nonsense",), ("config",), ("classify",), ("classify", "x", "--parallel", "0")],
)
def test_wrong_arguments_exit_with_2(arguments: Sequence[str]) -> None:
    done = visionfleet(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: visionfleet" in done.stderr


def test_config_check_of_a_good_file(tmp_path: Path) -> None:
    path = config_file(tmp_path, "web: {port: 81}\n")
    done = visionfleet("config", "check", "--config", path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ok: {path}\n", "")


def test_config_check_prints_every_fault_and_exits_with_78(tmp_path: Path) -> None:
    path = config_file(tmp_path, "web: {port: 0}\nlog: {level: LOUD}\nwbe: {}\n")
    for command in (("config", "check"), ("config", "show"), ("provision",), ("up",), ("status",)):
        done = visionfleet(*command, "--config", path)
        assert (done.returncode, done.stdout) == (78, "")
        assert [line.split(": ")[1] for line in done.stderr.splitlines()] == [
            "web.port",
            "log.level",
            "wbe",
        ]


def test_config_file_comes_from_the_environment(tmp_path: Path) -> None:
    path = config_file(tmp_path)
    done = visionfleet("config", "check", env={"VISIONFLEET_CONFIG": path})
    assert done.stdout == f"ok: {path}\n"
    missing = visionfleet("config", "check", env={"VISIONFLEET_CONFIG": "/nowhere.yaml"})
    assert missing.returncode == 78
    assert missing.stderr == "/nowhere.yaml: cannot be read: No such file or directory\n"


def test_config_show_output_loads_to_the_same_output(tmp_path: Path) -> None:
    path = config_file(
        tmp_path,
        "name: 'on'\nweb:\n  plain_reply: '{stem}: {label} # \"é\"'\nmodel: {directory: m}\n"
        "aws: {read_timeout_seconds: 1.0e+2}\n",
    )
    shown = visionfleet("config", "show", "--config", path, env={"VISIONFLEET_WEB__PORT": "81"})
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert f"name: 'on'  # {path}:1" in lines
    assert "  port: 81  # environment VISIONFLEET_WEB__PORT" in lines
    assert "  max_bytes: 20971520  # default" in lines
    assert f"  directory: {tmp_path}/m  # {path}:4" in lines
    again = tmp_path / "again.yaml"
    again.write_text(shown.stdout)
    second = visionfleet("config", "show", "--config", str(again))
    assert second.returncode == 0, second.stderr
    assert yaml.safe_load(second.stdout) == yaml.safe_load(shown.stdout)


def test_config_schema_is_json() -> None:
    done = visionfleet("config", "schema")
    assert json.loads(done.stdout)["properties"]["web"]


def test_closed_pipe_ends_quietly() -> None:
    script = '"$0" -c "$1" config show --config "$2" | head -n 1'
    path = str(ROOT / "etc/visionfleet.yaml")
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable, MAIN, path],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        check=False,
    )
    assert done.stdout.startswith(b"name: visionfleet  # ")
    assert done.stderr == b""


@pytest.mark.skipif(Path("/etc/visionfleet/visionfleet.yaml").exists(), reason="this is a host")
def test_checkout_without_a_configuration_takes_its_own(tmp_path: Path) -> None:
    done = visionfleet("config", "check", cwd=tmp_path)
    local = ROOT / "etc/local.yaml"
    assert (done.returncode, done.stdout) == (0, f"ok: {local}\n")
    assert done.stderr == f"visionfleet: with {local}, as `make run`\n"


@pytest.mark.skipif(Path("/etc/visionfleet/visionfleet.yaml").exists(), reason="this is a host")
def test_daemon_without_a_configuration_says_how(tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("VISIONFLEET_")}
    done = subprocess.run(
        [sys.executable, "-m", "visionfleetd.scaler.main"],
        capture_output=True,
        text=True,
        env={**kept, "PYTHONPATH": PYTHONPATH},
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert done.returncode == 78
    assert "/etc/visionfleet/visionfleet.yaml: there is none; name one by --config" in done.stderr
