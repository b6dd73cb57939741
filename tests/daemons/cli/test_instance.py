"""`visionfleet instance` as a real process: metadata over HTTP, a systemctl that records calls."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from testkit.aws.embedded import CREDENTIALS
from testkit.aws.imds import INSTANCE_ID, USER_DATA, ImdsServer, imds_server
from testkit.aws.stack_server import StackServer, stack_server
from testkit.processes.cli import visionfleet
from testkit.processes.ports import free_port

# Fails when there is a file of that name beside its notes; a unit has failed by another.
SYSTEMCTL = """#!/bin/sh
echo "$*" >>{notes}
case $* in *is-failed*) test -e {notes}.failed; exit ;; esac
if [ -e {notes}.broken ]; then echo "no bus" >&2; exit 1; fi
"""
STARTED = ["start --no-block visionfleet.target"]


@dataclass
class Host:
    """A machine's configuration, its metadata and its systemctl."""

    folder: Path
    service: ImdsServer

    @property
    def config(self) -> Path:
        return self.folder / "visionfleet.yaml"

    @property
    def drop_in(self) -> Path:
        return self.folder / "conf.d" / "90-instance.yaml"

    @property
    def notes(self) -> Path:
        return self.folder / "notes"

    def boot(self, url: str | None = None) -> "CompletedProcess[str]":
        return self.run("instance", AWS_EC2_METADATA_SERVICE_ENDPOINT=url or self.service.url)

    def signal(self, stack: StackServer) -> "CompletedProcess[str]":
        return self.run(
            *("instance", "--signal"),
            AWS_EC2_METADATA_SERVICE_ENDPOINT=self.service.url,
            AWS_ENDPOINT_URL_CLOUDFORMATION=stack.url,
            **CREDENTIALS,
        )

    def run(self, *arguments: str, **env: str) -> "CompletedProcess[str]":
        self.notes.unlink(missing_ok=True)
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return visionfleet(*arguments, "--config", str(self.config), env={"PATH": path, **env})

    def set_user_data(self, text: str) -> None:
        self.service.documents[USER_DATA] = text.encode()

    def commands(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    (tmp_path / "bin").mkdir()
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "visionfleet.yaml").write_text("web: {port: 8081}\n")
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.write_text(SYSTEMCTL.format(notes=tmp_path / "notes"))
    systemctl.chmod(0o755)
    with imds_server() as service:
        yield Host(tmp_path, service)


def test_user_data_role_and_settings_apply_at_every_boot(host: Host) -> None:
    host.set_user_data("#visionfleet\nrole: [web, scaler]\nvisionfleet: {web: {port: 8082}}\n")
    done = host.boot()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "started visionfleet-web.service visionfleet-scaler.service\n"
    enabled = "enable --runtime visionfleet-web.service visionfleet-scaler.service"
    assert host.commands() == [enabled, *STARTED]
    shown = visionfleet("config", "show", "--config", str(host.config)).stdout
    assert f"port: 8082  # {host.drop_in}:" in shown

    host.set_user_data("#visionfleet\nrole: worker\n")
    assert host.boot().returncode == 0
    assert host.commands() == ["enable --runtime visionfleet-classifiers.target", *STARTED]
    assert "port: 8081" in visionfleet("config", "show", "--config", str(host.config)).stdout


@pytest.mark.parametrize("text", [None, "#cloud-config\npackages: []\n"])
def test_missing_user_data_starts_nothing(host: Host, text: str | None) -> None:
    host.drop_in.write_text("web: {port: 1}\n")
    if text is not None:
        host.set_user_data(text)
    done = host.boot()
    assert (done.returncode, host.commands()) == (0, [])
    assert "nothing is started" in done.stdout
    assert not host.drop_in.exists()


def test_faulty_user_data_starts_nothing_and_is_not_retried(host: Host) -> None:
    host.set_user_data("#visionfleet\nrole: boss\n")
    done = host.boot()
    assert (done.returncode, host.commands()) == (78, [])
    assert "user data:2:1: role: expected" in done.stderr


def test_faulty_settings_start_nothing_and_name_file_and_line(host: Host) -> None:
    host.set_user_data("#visionfleet\nrole: web\nvisionfleet:\n  web: {prot: 1, port: 0}\n")
    done = host.boot()
    assert (done.returncode, host.commands()) == (78, [])
    for number, line in enumerate(host.drop_in.read_text().splitlines(), 1):
        if "pro" in line or "port" in line:
            assert f"{host.drop_in}:{number}:" in done.stderr
    assert "web.prot: unknown key; did you mean `port`?" in done.stderr


def test_silent_or_denied_metadata_is_retried(host: Host) -> None:
    host.set_user_data("#visionfleet\nrole: web\n")
    assert host.boot(f"http://127.0.0.1:{free_port()}").returncode == 1
    host.service.status = 503
    done = host.boot()
    assert (done.returncode, host.commands()) == (1, [])
    assert "metadata token: status 503" in done.stderr
    host.service.status = None
    assert host.boot().returncode == 0


def test_systemd_refusal_is_reported(host: Host) -> None:
    host.set_user_data("#visionfleet\nrole: web\n")
    Path(f"{host.notes}.broken").touch()
    done = host.boot()
    assert done.returncode == 1
    assert "systemctl enable --runtime visionfleet-web.service: " in done.stderr
    assert "no bus" in done.stderr


WAITING = "#visionfleet\nrole: web\nsignal: {stack: photos, resource: WebHostGroup}\n"
READY = {
    "Action": "SignalResource",
    "StackName": "photos",
    "LogicalResourceId": "WebHostGroup",
    "UniqueId": "i-0123",
    "Status": "SUCCESS",
}


@pytest.fixture
def waited_for(host: Host) -> Host:
    host.set_user_data(WAITING)
    host.service.documents[INSTANCE_ID] = b"i-0123"
    return host


def test_operators_settings_give_way_to_those_of_the_deployment(host: Host) -> None:
    host.set_user_data(
        "#visionfleet\nrole: web\nvisionfleet: {web: {port: 8082}}\n"
        "settings: {web: {port: 9, cache: true}}\n"
    )
    assert host.boot().returncode == 0
    shown = visionfleet("config", "show", "--config", str(host.config)).stdout
    assert "port: 8082" in shown
    assert "cache: true" in shown
    host.set_user_data("#visionfleet\nrole: web\n")
    assert host.boot().returncode == 0
    assert "cache: false" in visionfleet("config", "show", "--config", str(host.config)).stdout


def test_stack_is_told_when_the_daemons_are_ready(waited_for: Host) -> None:
    assert waited_for.boot().returncode == 0
    assert waited_for.commands()[-1] == "start --no-block visionfleet-signal.service"
    with stack_server() as stack:
        done = waited_for.signal(stack)
    assert (done.returncode, done.stdout) == (0, "told photos: WebHostGroup is ready\n")
    assert waited_for.commands() == ["start visionfleet-web.service"], "it returns when ready"
    assert [READY.items() <= told.items() for told in stack.told] == [True]


def test_stack_is_told_of_a_unit_that_failed_for_good(waited_for: Host) -> None:
    Path(f"{waited_for.notes}.broken").touch()
    with stack_server() as stack:
        assert waited_for.signal(stack).returncode == 1, "systemd tries it again: wait"
        assert stack.told == []
        Path(f"{waited_for.notes}.failed").touch()
        done = waited_for.signal(stack)
    assert (done.returncode, done.stdout) == (0, "told photos: WebHostGroup failed\n")
    assert stack.told[0]["Status"] == "FAILURE"


@pytest.mark.parametrize(
    ("code", "status"), [("ValidationError", 0), ("AccessDenied", 1), ("Throttling", 1)]
)
def test_refused_signal_is_repeated_unless_nobody_waits(
    code: str, status: int, waited_for: Host
) -> None:
    with stack_server(code) as stack:
        done = waited_for.signal(stack)
    assert done.returncode == status, done
    assert "nobody waits" in done.stdout or status
