"""User data: which units an instance runs, which settings it gets, and what is refused."""

import pytest
import yaml

from visionfleet.errors import BadConfig
from visionfleet.host.user_data import UNITS, InstanceRoles, StackSignal, read

WEB, SCALER, WORKER = UNITS.values()
KNOWN = "role, settings, signal, visionfleet"


@pytest.mark.parametrize(
    ("roles", "units"),
    [
        ("worker", (WORKER,)),
        ("[worker]", (WORKER,)),
        ("[scaler, web]", (WEB, SCALER)),
        ("[web, web]", (WEB,)),
        ("[web, scaler, worker]", (WEB, SCALER, WORKER)),
    ],
)
def test_user_data_role_names_a_unit(roles: str, units: tuple[str, ...]) -> None:
    assert read(f"#visionfleet\nrole: {roles}\n".encode()) == InstanceRoles(units, "{}\n")


def test_user_data_settings_become_a_drop_in() -> None:
    found = read(
        b"#visionfleet\r\nrole: worker\r\nvisionfleet:\r\n  name: eu\r\n"
        b"  storage: {input_bucket: in, output_bucket: out}\r\n  ec2:\r\n    subnets: []\r\n"
    )
    assert found is not None
    assert yaml.safe_load(found.settings) == {
        "name": "eu",
        "storage": {"input_bucket": "in", "output_bucket": "out"},
        "ec2": {"subnets": []},
    }


def test_user_data_settings_of_the_operator_and_whom_to_tell() -> None:
    found = read(
        b"#visionfleet\nrole: web\nsettings: {web: {cache: true}}\n"
        b"signal: {stack: photos, resource: WebHostGroup}\n"
    )
    assert found is not None
    assert yaml.safe_load(found.operator_settings) == {"web": {"cache": True}}
    assert found.signal == StackSignal("photos", "WebHostGroup")


@pytest.mark.parametrize(
    "signal", ["photos", "[a, b]", "{stack: a}", "{stack: a, resource: 7}", "{stack: a, b: c}"]
)
def test_signal_that_names_no_stack_and_resource_is_a_fault(signal: str) -> None:
    with pytest.raises(BadConfig, match="signal: expected the names of a stack and of a resource"):
        read(f"#visionfleet\nrole: web\nsignal: {signal}\n".encode())


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"#cloud-config\nrole: web\n", b"#!/bin/sh\n#visionfleet\n", b"\x1f\x8b\x08\x00"],
)
def test_user_data_of_other_tools_is_ignored(data: bytes) -> None:
    assert read(data) is None


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["user data: role: missing; expected one or a list of web, scaler, worker"]),
        (
            "role: wrker",
            ["user data:2:1: role: expected one or a list of web, scaler, worker, got wrker"],
        ),
        (
            "role: []",
            ["user data:2:1: role: expected one or a list of web, scaler, worker, got []"],
        ),
        (
            "role: [web, 7]",
            ["user data:2:1: role: expected one or a list of web, scaler, worker, got ['web', 7]"],
        ),
        (
            "role: {web: yes}",
            ["user data:2:8: role: expected one or a list of web, scaler, worker, got keys"],
        ),
        (
            "role: web\nvisonfleet: {name: x}",
            [f"user data:3:14: visonfleet: unknown key; known here: {KNOWN}"],
        ),
        (
            "role: web\nvisionfleet: [name]",
            ["user data:3:1: visionfleet: expected sections with keys, as in visionfleet.yaml"],
        ),
        (
            "role: web\nvisionfleet:\n  web: {port: 1, port: 2}",
            ["user data:4:18: visionfleet.web.port: set twice, first in line 4"],
        ),
        (
            "role: [web",
            [
                "user data:3:1: not YAML: while parsing a flow sequence that begins in line 2: "
                "expected ',' or ']', but got '<stream end>'"
            ],
        ),
        ("just words", ["user data: expected sections with keys, like `web:` and `port: 8080`"]),
        (
            "run: reboot\nrole: boss",
            [
                f"user data:2:1: run: unknown key; known here: {KNOWN}",
                "user data:3:1: role: expected one or a list of web, scaler, worker, got boss",
            ],
        ),
    ],
)
def test_user_data_faults_have_their_line(text: str, faults: list[str]) -> None:
    with pytest.raises(BadConfig) as caught:
        read(f"#visionfleet\n{text}\n".encode())
    assert list(caught.value.faults) == faults


def test_user_data_that_is_not_utf8_is_a_fault() -> None:
    with pytest.raises(BadConfig, match="user data: it is not UTF-8"):
        read(b"#visionfleet\nrole: \xff\n")


def test_user_data_makes_no_python_objects() -> None:
    with pytest.raises(BadConfig):
        read(b"#visionfleet\nrole: !!python/object/apply:os.system ['true']\n")
