"""Each daemon under the supervisord of its container, with the shipped file."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from testkit import ROOT
from testkit.aws.embedded import Cloud, emptied
from testkit.fleet.scaler_daemon import status
from testkit.fleet.supervised import supervised
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import Process, started
from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until

pytest.importorskip("supervisor")

BIN = Path(sys.executable).parent
SUPERVISOR = {"VISIONFLEET_SCALER__FLEET": "supervisor"}

aws = pytest.fixture(emptied, scope="module")


@contextmanager
def container(role: str, folder: Path, environment: Mapping[str, str]) -> Iterator[Process]:
    """Run supervisord as a container does; its standard output and error are one file."""
    config = folder / "visionfleet.yaml"
    config.write_text("queue: {wait_seconds: 2}\n")
    argv = [str(BIN / "supervisord"), "-n", "-c", str(ROOT / "etc/supervisor" / f"{role}.conf")]
    path = os.pathsep.join((str(BIN), os.environ["PATH"]))
    env = {"PATH": path, "VISIONFLEET_CONFIG": str(config), **environment}
    with started(argv, folder / "container.log", env, cwd=folder, stop_seconds=45) as process:
        yield process


def stop(process: Process, role: str) -> None:
    """End it, and expect that its daemon ended well and in time."""
    exit_status, seconds = process.stop(40)
    assert (exit_status, seconds < 15) == (0, True), process.tail()
    assert f"{role}: stopped" in process.output()  # `docker logs` shows it
    assert f"stopped: {role} (exit status 0)" in process.output()


def test_supervisor_file_of_web_runs_and_stops(aws: Cloud, tmp_path: Path) -> None:
    port = free_port()
    with container("web", tmp_path, {**aws.environment, "VISIONFLEET_WEB__PORT": f"{port}"}) as it:
        it.wait_for_output("web: ready", 60)
        assert requests.get(f"http://127.0.0.1:{port}/readyz", timeout=30).status_code == 200
        stop(it, "web")


def test_supervisor_file_of_scaler_runs_and_stops(aws: Cloud, tmp_path: Path) -> None:
    with supervised(aws.environment) as workers:
        where = SUPERVISOR | {"VISIONFLEET_SUPERVISOR__SOCKET": str(workers.socket)}
        with container("scaler", tmp_path, {**aws.environment, **where}) as it:
            wait_until(lambda: status(aws), 60, it.tail)
            stop(it, "scaler")


@pytest.mark.needs_torch
def test_supervisor_file_of_classifier_runs_and_stops(aws: Cloud, tmp_path: Path) -> None:
    model = table_model(tmp_path, [numbered(i) for i in range(2)], ["a", "b"])
    with container("classifier", tmp_path, {**aws.environment, **model}) as it:
        aws.send_request("job1", encoded(numbered(1)))
        found = wait_until(lambda: aws.result("job1"), 60, it.tail)
        assert found["label"] == "b"
        stop(it, "classifier")


def test_wrong_configuration_ends_the_container_at_once(tmp_path: Path) -> None:
    with ExitStack() as stack:
        containers = {}
        for role in ("web", "scaler", "classifier"):
            (tmp_path / role).mkdir()
            wrong = container(role, tmp_path / role, {"VISIONFLEET_WEB__PORT": "none"})
            containers[role] = stack.enter_context(wrong)
        for role, it in containers.items():
            it.assert_exit(0, 60)
            output = it.output()
            assert output.count("web.port: expected an integer from 1 to 65535") == 1
            assert f"end-supervisor: {role} " in output
            assert "exit status 78" in output


@pytest.mark.parametrize(
    ("fleet", "fault"),
    [
        (SUPERVISOR, "no supervisor answers at .*; set scaler.fleet to systemd or ec2"),
        # On a machine that systemd runs, it is visionfleet's unit that is not there.
        ({}, "systemd does not run this machine; set scaler.fleet to ec2|@0.service is not-found"),
    ],
)
def test_scaler_without_its_fleet_names_the_setting(
    tmp_path: Path, fleet: dict[str, str], fault: str
) -> None:
    """Nobody is to wait for it: AWS does not answer here either."""
    nowhere = fleet | {"VISIONFLEET_AWS__ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    nowhere["VISIONFLEET_SUPERVISOR__SOCKET"] = str(tmp_path / "none.sock")
    with container("scaler", tmp_path, nowhere) as it:
        it.assert_exit(0, 60)
        output = it.output()
    assert re.search(f"scaler.fleet: .*({fault})", output)
    assert "exit status 78" in output
    assert "Traceback" not in output
