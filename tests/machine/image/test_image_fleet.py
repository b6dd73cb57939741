"""The whole chain on booted machines: scaler and web on one, workers that EC2 is asked for."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from testkit.aws.ec2_proxy import ec2_proxy
from testkit.aws.embedded import Cloud, ec2_client
from testkit.images.pictures import encoded, numbered
from testkit.machine.container import Machine
from testkit.machine.image import BakedImage
from testkit.machine.instances import Instances, instance, instances, user_data
from testkit.processes.ports import accepts, free_port
from testkit.processes.waiting import wait_until

UPLOADS, MAXIMUM = 60, 3
# Priors that want the whole fleet for a few images.
SCALER = {
    "fleet": "ec2",
    "maximum": MAXIMUM,
    "interval_seconds": 2,
    "hold_seconds": 4,
    "target_wait_seconds": 0.5,
    "service_seconds": 5,
    "paid_seconds": 0,
}
WORKER = {"report_seconds": 5, "batch_size": 4, "prefetch": 4}


@dataclass(frozen=True)
class Service:
    """The running service: its control host, its fleet, and where to ask."""

    control: Machine
    fleet: Instances
    aws: Cloud
    url: str


@pytest.fixture
def service(baked: BakedImage, image_aws: Cloud, tmp_path: Path) -> Iterator[Service]:
    ec2, port = ec2_client(image_aws), free_port()
    workers = {
        "aws": {"endpoint_url": image_aws.endpoint_url},
        "queue": {"wait_seconds": 3},
        "model": {"threads": 1},
        "classifier": WORKER,
    }
    template = {
        "ImageId": baked.id,
        "InstanceType": "c7i.large",
        "UserData": base64.b64encode(user_data("worker", workers)).decode(),
    }
    ec2.create_launch_template(LaunchTemplateName="workers", LaunchTemplateData=template)
    with ExitStack() as stack:
        proxy = stack.enter_context(ec2_proxy(image_aws.endpoint_url))
        control = {
            "aws": {"endpoint_url": proxy.url},
            "web": {"port": port},
            "scaler": SCALER,
            "ec2": {"launch_template": "workers"},
        }
        asked = user_data(["web", "scaler"], control)
        host = stack.enter_context(instance(baked, tmp_path / "control", "i-control", asked))
        fleet = stack.enter_context(instances(baked, tmp_path, ec2))
        wait_until(lambda: accepts(port), 60, lambda: host.journal("-u", "visionfleet-*"))
        yield Service(host, fleet, image_aws, f"http://127.0.0.1:{port}")


@pytest.mark.needs_torch
def test_uploads_launch_three_machines_and_leave_none(service: Service) -> None:
    before = set(service.aws.keys("results/"))
    assert service.fleet.running == set()

    def upload(number: int) -> tuple[int, str]:
        files = {"myfile": ("same.png", encoded(numbered(number)))}
        answer = requests.post(service.url + "/", files=files, timeout=200)
        return answer.status_code, answer.text

    with ThreadPoolExecutor(UPLOADS) as clients:
        answers = list(clients.map(upload, range(UPLOADS)))
    told = lambda: service.control.journal("-u", "visionfleet-scaler")[-4000:]  # noqa: E731
    fleet = service.fleet
    wait_until(lambda: len(fleet.journals) == MAXIMUM and not fleet.running, 120, told)

    assert {status for status, _ in answers} == {200}
    assert fleet.peak == MAXIMUM
    results = [service.aws.result(job_of(key)) or {} for key in made_since(service.aws, before)]
    assert len(results) == UPLOADS
    assert sorted(label for _, label in answers) == sorted(r["top"][0]["label"] for r in results)
    assert {result["worker"] for result in results} <= fleet.journals.keys()
    assert service.aws.counts() == service.aws.counts("visionfleet-requests-dead") == (0, 0)
    for name, journal in fleet.journals.items():
        assert 0 < journal.find("drained") < journal.find("signal=SIGTERM"), (name, journal)
        assert "left_in_hand=0" in journal, (name, journal)
    assert service.control.systemctl("--failed", "-q") == ""


def made_since(aws: Cloud, before: set[str]) -> set[str]:
    return set(aws.keys("results/")) - before


def job_of(key: str) -> str:
    return key.removeprefix("results/").removesuffix(".json")
