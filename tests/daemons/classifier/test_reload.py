"""A classifier as systemd and an operator see it: readiness, watchdog, status, reload."""

import signal
from pathlib import Path

import pytest
from PIL import Image

from testkit.aws.embedded import Cloud, emptied
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import started_module
from testkit.processes.notify_socket import notify_socket
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch

SETTINGS = "queue: {visibility_timeout_seconds: 7, wait_seconds: 1}\n"
ENDLESS = Image.new("RGB", (32, 32), "magenta")


@pytest.fixture
def aws(running_aws: Cloud) -> Cloud:
    return emptied(running_aws, {"VisibilityTimeout": "8"})


def test_reload_applies_live_settings_and_notifies_systemd(aws: Cloud, tmp_path: Path) -> None:
    config = tmp_path / "visionfleet.yaml"
    config.write_text(f"{SETTINGS}classifier: {{report_seconds: 1, max_processing_seconds: 7}}\n")
    model = table_model(tmp_path, [numbered(i) for i in range(3)], ["a", "b", "c"])
    with (
        notify_socket() as listener,
        started_module(
            "visionfleetd.classifier.main",
            *("--config", str(config), "--worker", "w0"),
            log=tmp_path / "w0.log",
            env={**aws.environment, **model, "NOTIFY_SOCKET": listener.address}
            | {"WATCHDOG_USEC": "2000000"},
            stop_seconds=30,
        ) as worker,
    ):
        wait_until(lambda: listener.count("READY=1") == 1, 60, worker.tail)
        assert listener.statuses[0] == "loading the model"
        assert listener.count("EXTEND_TIMEOUT_USEC=120000000") > 0
        wait_until(lambda: "idle: 0 in flight" in listener.statuses[-1], 30, worker.tail)
        aws.send_request("job0", encoded(numbered(0)))
        answered = "1 answered, "
        wait_until(lambda: any(answered in s for s in listener.statuses), 20, worker.tail)
        assert listener.statuses[-1].endswith("model table")

        config.write_text(f"{SETTINGS}classifier: {{batch_size: many}}\n")
        worker.signal(signal.SIGHUP)
        worker.wait_for_output("configuration faulty, nothing changed faults=1", 20)
        worker.wait_for_output("classifier.batch_size: expected an integer", 20)

        config.write_text(
            f"{SETTINGS}classifier: {{report_seconds: 2, stop_seconds: 5, batch_size: 4, "
            "max_processing_seconds: 7}\n"
            "images: {formats: [JPEG]}\nweb: {port: 9}\n"
        )
        worker.signal(signal.SIGHUP)
        wait_until(lambda: listener.count("READY=1") == 3, 20, worker.tail)
        changed = "images.formats,classifier.report_seconds,classifier.stop_seconds"
        assert f"reloaded changed={changed}\n" in worker.output()
        assert "needs a restart settings=classifier.batch_size\n" in worker.output()
        aws.send_request("job1", encoded(numbered(1)))  # a PNG
        found = wait_until(lambda: aws.result("job1"), 20, worker.tail)
        assert found["code"] == "not_an_image"
        signs = listener.count("WATCHDOG=1")
        wait_until(lambda: listener.count("WATCHDOG=1") > signs + 2, 30, worker.tail)

        aws.send_request("job2", encoded(ENDLESS, "JPEG"))  # whose forward pass has no end
        wait_until(lambda: listener.count("WATCHDOG=trigger") > 0, 30, worker.tail)
        assert "no progress" in worker.output()
        assert "the model has been at one step for" in worker.output()
        worker.stop(30)
    assert listener.count("RELOADING=1") == 2
    assert listener.count("STOPPING=1") == listener.count("EXTEND_TIMEOUT_USEC=15000000") == 1
