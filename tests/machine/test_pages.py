"""What README and the page on systemd say, typed line by line on a machine that has nothing yet."""

from collections.abc import Iterator

import pytest

from testkit import pages
from testkit.aws.embedded import Cloud, cloud
from testkit.machine.container import Machine, machine
from testkit.machine.image import SITECUSTOMIZE
from testkit.machine.installed import SOURCE, bring_source, libraries
from testkit.machine.root import OF_IMAGE, root_folder
from testkit.processes.ports import free_port
from testkit.release import built_wheel

pytestmark = pytest.mark.needs_torch

# Where pip looks in the place of PyPI; the dependencies are those of the tests, beside which lies
# a link to the tester's checkout, which is not to pass for an installation.
PIP = """
[global]
no-index = true
no-build-isolation = false
find-links = /usr/src/visionfleet/dist
[install]
no-deps = true
ignore-installed = true
"""
OTHER_FLEET = "/etc/visionfleet/conf.d/70-fleet.yaml"
EDITOR = '#!/bin/sh\ncat /srv/settings >"$1"\n'
SETTINGS = "aws: {{endpoint_url: {aws}}}\nweb: {{port: {port}}}\nqueue: {{wait_seconds: 2}}\n"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    root_folder(OF_IMAGE)
    with cloud(tmp_path_factory.mktemp("aws")) as made:
        for bucket in ("visionfleet-input", "visionfleet-output"):
            made.s3.delete_bucket(Bucket=bucket)
        yield made


class Person:
    """Types on a machine, in the sources; port 8080 of the pages is a free one of this host."""

    def __init__(self, machine: Machine, port: int) -> None:
        self.machine, self.port = machine, port

    def type(self, command: str, seconds: float = 120.0) -> str:
        line = command.replace(":8080", f":{self.port}")
        script = f"cd {SOURCE}\n{line}"
        done = self.machine.run(
            "bash", "-euc", script, environment={"EDITOR": "editor-of-test"}, seconds=seconds
        )
        return done.stdout

    def show(self, unit: str, name: str) -> str:
        return self.machine.show(unit, name)


@pytest.fixture(scope="module")
def person(aws: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    folder, port = tmp_path_factory.mktemp("machine"), free_port()
    with machine(folder, OF_IMAGE, libraries(), name="pages") as booted:
        bring_source(booted)
        wheel = built_wheel(folder)
        booted.write(f"{SOURCE}/dist/{wheel.name}", wheel.read_bytes())
        booted.write("/etc/python3.11/sitecustomize.py", SITECUSTOMIZE)
        booted.write("/etc/pip.conf", PIP)
        booted.write("/usr/local/bin/editor-of-test", EDITOR, mode=0o755)
        booted.write("/srv/settings", SETTINGS.format(aws=aws.endpoint_url, port=port))
        booted.run("sh", "-c", 'echo "127.0.0.1 $(hostname)" >>/etc/hosts')
        yield Person(booted, port)


def test_readme_typed_on_a_bare_machine_gives_an_answer(person: Person) -> None:
    said = {line: person.type(line) for line in pages.typed_by(pages.MACHINE, "README.md")}
    first, *rest = said
    for following in rest[:5]:
        assert following.partition("#")[0].strip() in said[first], "the install names what is next"
    assert next(out for line, out in said.items() if line.startswith("curl")) == "espresso"
    assert person.show("visionfleet-classifier@0", "ActiveState") == "active", "the scaler's work"
    assert 'Status: "ready' in next(out for line, out in said.items() if "status" in line)


def test_scaler_without_its_fleet_holds_up_nobody(person: Person) -> None:
    """As where a supervisor is configured that is not there."""
    person.type("systemctl stop visionfleet.target")
    person.machine.write(OTHER_FLEET, "scaler: {fleet: supervisor}\n")
    person.type("systemctl start visionfleet.target", seconds=60)
    assert person.show("visionfleet-web", "ActiveState") == "active"
    assert person.show("visionfleet-scaler", "ExecMainStatus") == "78"
    assert person.show("visionfleet-scaler", "NRestarts") == "0"
    told = person.machine.journal("-u", "visionfleet-scaler", "-o", "cat")
    assert "set scaler.fleet to systemd or ec2, or supervisor.socket" in told
    person.type(f"rm {OTHER_FLEET} && systemctl reset-failed")


def test_page_on_systemd_typed_from_a_wheel_works(person: Person) -> None:
    lines = pages.typed_by(pages.MACHINE, "docs/systemd.md")
    uninstall = lines.pop(lines.index("make uninstall"))
    person.type(f"{uninstall} && rm -rf /etc/visionfleet")
    wheel = [line for line in lines if "/opt/visionfleet" in line]
    assert len(wheel) == 3
    said = {}
    for line in [*wheel, *(line for line in lines if line not in wheel)]:
        endless = line.startswith("journalctl -fu")
        said[line] = person.type(f"timeout 1 {line} || [ $? = 124 ]" if endless else line)
    assert next(out for line, out in said.items() if line.startswith("curl")) == "espresso"
    person.type(uninstall)
    assert person.show("visionfleet-web", "ActiveState") == "inactive"
    for left in ("/opt/visionfleet", "/usr/bin/visionfleet-web", "/usr/share/visionfleet"):
        assert person.machine.run("test", "-e", left, check=False).returncode == 1, left
    assert person.machine.run("test", "-e", "/etc/visionfleet/visionfleet.yaml").returncode == 0
