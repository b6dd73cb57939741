"""A classifier as systemd and an operator see it: readiness, watchdog, status, reload."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from testkit.aws.embedded import Cloud, emptied
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import Process, started_module
from testkit.processes.notify_socket import NotifySocket, notify_socket
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch

SETTINGS = "queue: {visibility_timeout_seconds: 7, wait_seconds: 1}\n"
ENDLESS = Image.new("RGB", (32, 32), "magenta")


@pytest.fixture
def aws(running_aws: Cloud) -> Cloud:
    return emptied(running_aws, {"VisibilityTimeout": "8"})


@contextmanager
def classifier(aws: Cloud, folder: Path, listener: NotifySocket) -> Iterator[Process]:
    """A worker of a model of three classes, which is ready."""
    config = folder / "visionfleet.yaml"
    section = "{report_seconds: 1, stop_seconds: 2, max_processing_seconds: 7}"
    config.write_text(f"{SETTINGS}classifier: {section}\n")
    model = table_model(folder, [numbered(i) for i in range(3)], ["a", "b", "c"])
    with started_module(
        "visionfleetd.classifier.main",
        *("--config", str(config), "--worker", "w0"),
        log=folder / "w0.log",
        env={**aws.environment, **model, "NOTIFY_SOCKET": listener.address}
        | {"WATCHDOG_USEC": "2000000"},
        stop_seconds=30,
    ) as worker:
        wait_until(lambda: listener.count("READY=1") == 1, 60, worker.tail)
        yield worker


def test_reload_applies_live_settings_and_names_the_rest(aws: Cloud, tmp_path: Path) -> None:
    config = tmp_path / "visionfleet.yaml"
    with notify_socket() as listener, classifier(aws, tmp_path, listener) as worker:
        said = listener.reload(worker, config, f"{SETTINGS}classifier: {{batch_size: many}}\n")
        assert "configuration faulty, nothing changed faults=1" in said
        assert "classifier.batch_size: expected an integer" in said

        good = "report_seconds: 2, stop_seconds: 5, batch_size: 4, max_processing_seconds: 7"
        others = "images: {formats: [JPEG]}\nweb: {port: 9}\n"
        said = listener.reload(worker, config, f"{SETTINGS}classifier: {{{good}}}\n{others}")
        changed = "images.formats,classifier.report_seconds,classifier.stop_seconds"
        assert f"reloaded changed={changed}\n" in said
        assert "needs a restart settings=classifier.batch_size\n" in said
        aws.send_request("job1", encoded(numbered(1)))  # a PNG
        found = wait_until(lambda: aws.result("job1"), 20, worker.tail)
        assert found["code"] == "not_an_image"
        worker.stop(30)
    assert listener.count("RELOADING=1") == 2
    assert listener.count("STOPPING=1") == listener.count("EXTEND_TIMEOUT_USEC=15000000") == 1


def test_systemd_is_notified_from_start_to_a_hang(aws: Cloud, tmp_path: Path) -> None:
    with notify_socket() as listener, classifier(aws, tmp_path, listener) as worker:
        assert listener.statuses[0] == "loading the model"
        assert listener.count("EXTEND_TIMEOUT_USEC=120000000") > 0
        wait_until(lambda: "idle: 0 in flight" in listener.statuses[-1], 30, worker.tail)
        aws.send_request("job0", encoded(numbered(0)))
        wait_until(lambda: any("1 answered, " in s for s in listener.statuses), 20, worker.tail)
        assert listener.statuses[-1].endswith("model table")
        signs = listener.count("WATCHDOG=1")
        wait_until(lambda: listener.count("WATCHDOG=1") > signs + 2, 30, worker.tail)

        aws.send_request("job2", encoded(ENDLESS, "JPEG"))  # whose forward pass has no end
        wait_until(lambda: listener.count("WATCHDOG=trigger") > 0, 30, worker.tail)
        assert "no progress" in worker.output()
        assert "the model has been at one step for" in worker.output()
