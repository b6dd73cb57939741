"""The image of the Dockerfile, and the services of compose.yaml, run by buildah.

Not run here: Docker itself, its health checks, and the download of packages.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from testkit import ROOT
from testkit.machine.oci import Images, need_buildah
from testkit.processes.daemons import Process
from testkit.processes.ports import free_port
from visionfleet.config import load

pytestmark = pytest.mark.needs_torch

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
ESPRESSO = ROOT / "models" / "espresso.jpg"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    need_buildah()
    made = Images(tmp_path_factory.mktemp("oci"))
    made.build("visionfleet")
    yield made
    made.buildah("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where workers find the model, so that none has to make it."""
    folder = tmp_path_factory.mktemp("models")
    config = folder / "vf.yaml"
    config.write_text("{}")
    command = [sys.executable, "-m", "visionfleet", "model", "build"]
    subprocess.run([*command, "--config", str(config), "--into", str(folder)], check=True)
    folder.chmod(0o755)
    return folder


@pytest.mark.parametrize("service", SERVICES)
def test_compose_settings_are_settings(service: str, tmp_path: Path) -> None:
    path = tmp_path / "vf.yaml"
    path.write_text("{}")
    found = load(path, SERVICES[service]["environment"]).config
    assert found.aws.endpoint_url == "http://127.0.0.1:5500"
    assert found.web.port == 8080
    assert COMPOSE["services"]["aws"]["ports"] == ["127.0.0.1:8080:8080"], "no key is asked for"


def test_image_is_not_roots_and_has_a_health_check(images: Images) -> None:
    told = json.loads(images.buildah("inspect", "--type", "image", "localhost/visionfleet"))
    config = told["Docker"]["config"]
    assert config["User"] == "visionfleet"
    assert config["Entrypoint"] == ["/usr/bin/run"]
    assert config["Healthcheck"]["Test"] == ["CMD", "/usr/bin/healthy"]
    assert config["StopSignal"] == "SIGTERM"


def test_services_of_compose_answer_and_stop_in_order(
    images: Images, artefact: Path, tmp_path: Path
) -> None:
    aws, web = free_port(), free_port()
    changes = {
        "VISIONFLEET_AWS__ENDPOINT_URL": f"http://127.0.0.1:{aws}",
        "VISIONFLEET_WEB__PORT": str(web),
        "VISIONFLEET_SCALER__MAXIMUM": "1",
        "PYTHONPATH": "/opt/libraries",
    }
    volumes = {"workers": [f"{artefact}:/usr/share/visionfleet/models:ro"]}
    logs: dict[str, Process] = {}
    with ExitStack() as stack:
        for name, service in SERVICES.items():
            settings = {**service["environment"], **changes}
            started = images.running(
                "visionfleet", service["command"], settings, volumes.get(name, [])
            )
            logs[name] = stack.enter_context(started)
            if name == "aws":
                logs[name].wait_for_output("embedded AWS at", 60)
        logs["web"].wait_for_output("web: ready", 60)
        with ESPRESSO.open("rb") as file:
            answer = requests.post(
                f"http://127.0.0.1:{web}/v1/classify?wait=250", files={"file": file}, timeout=270
            )
        assert answer.status_code == 200, logs["workers"].tail()
        assert answer.json()["label"] == "espresso"
    assert [(name, each.status()) for name, each in logs.items() if each.status() != 0] == []


def test_unknown_role_is_told(images: Images) -> None:
    container = images.buildah("from", "localhost/visionfleet")
    with pytest.raises(AssertionError, match="expected web, scaler, classifier, workers, aws"):
        images.buildah("run", container, "--", "/usr/bin/run", "boss")
