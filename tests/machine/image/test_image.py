"""The image: baked by Packer over real SSH, booted with user data, and its verification."""

import json
import re
from functools import partial
from pathlib import Path

import pytest

from testkit import ROOT
from testkit.aws.embedded import Cloud, ec2_client
from testkit.aws.imds import USER_DATA, imds_server
from testkit.machine.container import Machine
from testkit.machine.image import TEMPLATE, BakedImage
from testkit.machine.instances import booted_instance, instance, user_data
from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch

ESPRESSO = (ROOT / "models" / "espresso.jpg").read_bytes()

HOME = Path("~root").expanduser()
# One command each, and the fault that the verification must find then.
FAULTS = {
    "rm /usr/lib/systemd/system/visionfleet-web.service": "unit is not installed: visionfleet-web",
    "systemctl enable visionfleet-scaler": "unit is enabled, not disabled: visionfleet-scaler",
    "systemctl disable visionfleet-instance": "unit is disabled, not enabled: visionfleet-instance",
    "systemctl unmask apt-daily.timer": "not masked: apt-daily.timer",
    "echo 'model: {name: resnet81}' >/etc/visionfleet/conf.d/80-y.yaml": (
        "no image can be classified"
    ),
    "rm -r /opt/visionfleet/lib/python3.11/site-packages/visionfleet/web/__pycache__": (
        "module is not compiled: /opt/visionfleet/lib/python3.11/site-packages/visionfleet/web/"
    ),
    "rm /usr/share/visionfleet/sbom.json": "there is no list of packages",
    "touch /etc/ssh/ssh_host_rsa_key": "SSH key of the machine: /etc/ssh/ssh_host_rsa_key",
    "echo key >/home/admin/.ssh/authorized_keys": "SSH key of a person: /home/admin/",
    "echo reboot >~root/.bash_history": f"history of a shell: {HOME}/.bash_history",
    "mkdir /home/admin/.aws": "credentials of AWS: /home/admin/.aws",
    "echo AKIA0123456789ABCDEF >/etc/note": "credentials of AWS: /etc/note",
    "touch /etc/credstore/visionfleet-web-keys": "credential: /etc/credstore/visionfleet-web-keys",
    "echo '-----BEGIN PRIVATE KEY-----' >/etc/k.pem": "private key: /etc/k.pem",
    "echo admin:secret | chpasswd": "password of a user: admin",
    "touch /etc/visionfleet/environment": "environment of the daemons is set",
    "touch /etc/visionfleet/conf.d/90-instance.yaml": (
        "settings of one machine: /etc/visionfleet/conf.d/"
    ),
    "touch /etc/open; chmod 666 /etc/open": "writable by all: /etc/open",
    "mkdir -m 777 /srv/open": "writable by all: /srv/open",
    "mkdir -p ~root/.cache/pip": f"cache of pip: {HOME}/.cache/pip",
    "touch /var/lib/apt/lists/x_Packages": "list of apt: /var/lib/apt/lists/x_Packages",
    "mkdir /tmp/visionfleet-image": "upload of the making: /tmp/visionfleet-image",
    "true": "/etc/machine-id is not empty",
}


def test_packer_builds_the_template_and_verifies_the_image(
    baked: BakedImage, image_aws: Cloud
) -> None:
    assert "the image is as it should be" in baked.output
    ec2 = ec2_client(image_aws)
    (made,) = ec2.describe_images(ImageIds=[baked.id])["Images"]
    assert re.fullmatch(r"visionfleet-amd64-\d{8}-\d{6}", made["Name"])
    tags = {tag["Key"]: tag["Value"] for tag in made["Tags"]}
    assert tags["visionfleet:source"] == "debian-12-amd64-20260101-0000"
    assert f"{baked.id} in us-east-1: IMDSv2 only" in baked.output
    left = ec2.describe_instances()["Reservations"]
    assert {one["State"]["Name"] for r in left for one in r["Instances"]} == {"terminated"}


def test_image_and_bake_have_a_list_of_all_packages(baked: BakedImage) -> None:
    text = (baked.build / "sbom.json").read_text()
    assert (baked.disk / "usr/share/visionfleet/sbom.json").read_text() == text
    listed = json.loads(text)
    assert listed["metadata"]["component"]["name"] == "visionfleet"
    urls = {each["purl"] for each in listed["components"]}
    status = (baked.disk / "var/lib/dpkg/status").read_text()
    there = [each for each in status.split("\n\n") if "\nStatus: install ok installed\n" in each]
    packages = [each.partition("\n")[0].removeprefix("Package: ") for each in there]
    assert len(packages) > 100
    debian = [url.partition("@")[0].rpartition("/")[2] for url in urls if url[:8] == "pkg:deb/"]
    assert sorted({name.replace("%2B", "+") for name in debian}) == sorted(set(packages))
    for name in ("torch", "openvino", "pillow", "pydantic"):
        assert [url for url in urls if url.startswith(f"pkg:pypi/{name}@")], name


def test_instance_without_user_data_starts_nothing(baked: BakedImage, tmp_path: Path) -> None:
    """And on a machine where all is wrong that can be, the verification finds each fault."""
    with instance(baked, tmp_path / "plain", "i-plain", b"") as machine:
        assert "nothing is started" in machine.journal("-u", "visionfleet-instance")
        assert machine.systemctl("list-units", "--all", "--plain", "visionfleet-c*@*", "-q") == ""
        machine.run("sh", "-euc", "\n".join(FAULTS))
        found = faults_of(machine)
        assert [told for told in FAULTS.values() if told not in found] == [], found
        machine.run("sh", "-c", "echo 'web: {port: 0}' >/etc/visionfleet/visionfleet.yaml")
        assert "fault: configuration is refused" in faults_of(machine)


def faults_of(machine: Machine) -> str:
    script = (TEMPLATE.parent / "verify.sh").read_bytes()
    where = {"IMAGE_UPLOADS": "/tmp/visionfleet-image"}
    done = machine.run("sh", "-s", stdin=script, environment=where, check=False)
    assert done.returncode == 1, done.stdout
    return done.stderr


def test_idle_worker_without_a_scaler_ends_its_machine(
    baked: BakedImage, image_aws: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {
        "aws": {"endpoint_url": image_aws.endpoint_url},
        "queue": {"wait_seconds": 2},
        "classifier": {"idle_shutdown_seconds": 5},
    }
    image_aws.send_request("job-of-the-image", ESPRESSO)
    with instance(baked, tmp_path / "w", "i-worker", user_data("worker", settings)) as machine:
        result = wait_until(lambda: image_aws.result("job-of-the-image"), 90, machine.console)
        unit, begun = "visionfleet-classifier@0", "UserspaceTimestampMonotonic"
        ready = int(machine.show(unit, "ActiveEnterTimestampMonotonic"))
        booted = int(machine.systemctl("show", "--value", "-p", begun))
        assert machine.systemctl("--failed", "-q") == ""
        machine.wait_for_power_off(60)
    assert (result["label"], result["worker"]) == ("espresso", "i-worker")
    with capsys.disabled():
        print(f"\nclassifier ready {(ready - booted) / 1e6:.1f} s after systemd began")


def test_faulty_user_data_starts_nothing_and_is_logged(baked: BakedImage, tmp_path: Path) -> None:
    settings = {"web": {"prot": 1}}
    with instance(baked, tmp_path / "f", "i-faulty", user_data("web", settings)) as machine:
        assert machine.show("visionfleet-instance", "ExecMainStatus") == "78"
        assert machine.show("visionfleet-instance", "ActiveState") == "failed"
        assert machine.show("visionfleet-web", "ActiveState") == "inactive"
        assert "web.prot: unknown key; did you mean `port`?" in machine.journal(
            "-u", "visionfleet-instance"
        )


def test_silent_metadata_is_retried_and_a_role_lasts_one_boot(
    baked: BakedImage, image_aws: Cloud, tmp_path: Path
) -> None:
    settings = {"aws": {"endpoint_url": image_aws.endpoint_url}, "web": {"port": free_port()}}
    with imds_server() as service:
        service.documents[USER_DATA] = user_data("web", settings)
        service.status = 503
        with booted_instance(service, baked, tmp_path / "s", "i-silent") as machine:
            restarts = partial(machine.show, "visionfleet-instance", "NRestarts")
            web = partial(machine.show, "visionfleet-web", "ActiveState")
            wait_until(lambda: int(restarts()) >= 2, 30, machine.console)
            assert web() == "inactive"
            service.status = None
            wait_until(lambda: web() == "active", 30, machine.console)
            machine.systemctl("stop", "visionfleet.target")
            wait_until(lambda: web() == "inactive", 40, machine.console)
            machine.systemctl("start", "visionfleet.target")
            wait_until(lambda: web() == "active", 30, machine.console)

            del service.documents[USER_DATA]
            machine.reboot()
            assert machine.show("visionfleet-instance", "ActiveState") == "active"
            assert web() == "inactive"
