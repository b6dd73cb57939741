"""The scaler of a booted machine starts and stops the classifiers of its units."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from testkit.images.pictures import encoded, numbered
from testkit.machine.host import CLASSIFIERS, DAEMONS, SCALER, WEB, Host
from testkit.processes.waiting import wait_until
from visionfleet.host.systemctl import RULE

IMAGES = [encoded(numbered(n)) for n in range(40)]
NOBODY = "visionfleet-classifier@7.service"
ELASTIC = """
scaler: {fleet: systemd, maximum: 19, policy: per_message, interval_seconds: 0.5, paid_seconds: 0}
"""


@pytest.fixture(scope="module")
def elastic(idle_host: Host) -> Iterator[Host]:
    """The machine with no classifier, and a scaler that may start them."""
    machine = idle_host.machine
    machine.systemctl("reset-failed")
    machine.systemctl("stop", SCALER, "visionfleet-classifiers.target")
    with idle_host.settings(ELASTIC):
        machine.systemctl("start", WEB, SCALER)
        yield idle_host
    machine.systemctl("stop", SCALER, *CLASSIFIERS)


def states(host: Host) -> list[str]:
    return [host.machine.show(unit, "ActiveState") for unit in CLASSIFIERS]


def status(host: Host) -> dict[str, Any]:
    return dict(json.loads(host.aws.object("fleet/status.json") or b"{}"))


def told(host: Host) -> str:
    return host.machine.journal("-u", SCALER, "-n", "30", "-o", "cat")


def wait_until_nobody_is_there(host: Host) -> None:
    wait_until(lambda: states(host) == ["inactive"] * 2, 60, lambda: told(host))


def test_units_start_with_the_work_and_end_without(elastic: Host) -> None:
    wait_until_nobody_is_there(elastic)
    began = time.monotonic()
    jobs = elastic.upload_all(IMAGES[:1])
    elastic.results(jobs, 180)  # a machine that is new tries the model once
    print(f"first answer after {time.monotonic() - began:.1f} s")
    wait_until_nobody_is_there(elastic)
    jobs += elastic.upload_all(IMAGES[1:])
    wait_until(lambda: states(elastic) == ["active"] * 2, 60, lambda: told(elastic))
    wait_until(lambda: status(elastic)["maximum"] == 2, 30, "there are no more places")
    name = elastic.machine.run("hostname").stdout.strip()
    workers = {result["worker"] for result in elastic.results(jobs)}
    assert workers <= {f"{name}-0", f"{name}-1"}
    wait_until_nobody_is_there(elastic)
    for unit in CLASSIFIERS:
        assert elastic.machine.show(unit, "Result") == "success"
        assert elastic.machine.show(unit, "NRestarts") == "0", "it was drained, and not restarted"
    wait_until(lambda: status(elastic)["states"] == {}, 20, lambda: told(elastic))


def test_unit_that_refuses_is_failed_and_another_starts(elastic: Host) -> None:
    wait_until_nobody_is_there(elastic)
    refusing = f"/run/systemd/system/{CLASSIFIERS[0]}.d/refuses.conf"
    elastic.machine.write(refusing, "[Service]\nExecStart=\nExecStart=/bin/sh -c 'exit 78'\n")
    elastic.machine.systemctl("daemon-reload")
    try:
        jobs = elastic.upload_all(IMAGES[:1])
        wait_until(lambda: states(elastic) == ["failed", "active"], 60, lambda: told(elastic))
        assert elastic.results(jobs)[0]["worker"].endswith("-1")
        wait_until(lambda: status(elastic)["states"].get("failed") == 1, 30, "it is counted")
        (alarm,) = wait_until(lambda: status(elastic).get("alarms"), 30, "an alarm")
        assert f"{CLASSIFIERS[0]} refuses to start, status 78" in alarm
    finally:
        elastic.machine.run("rm", refusing)
        elastic.machine.systemctl("daemon-reload")
        elastic.machine.systemctl("reset-failed")


def test_stop_of_all_leaves_no_unit_behind(elastic: Host) -> None:
    wait_until_nobody_is_there(elastic)
    jobs = elastic.upload_all(IMAGES)
    wait_until(lambda: "activating" in states(elastic), 30, lambda: told(elastic))
    elastic.machine.systemctl("stop", "visionfleet.target", *DAEMONS)
    assert states(elastic) == ["inactive"] * 2
    elastic.machine.systemctl("start", WEB, SCALER)
    elastic.results(jobs)


def test_scaler_that_may_start_nobody_says_how_to_mend_it(elastic: Host) -> None:
    machine = elastic.machine
    rule = machine.run("cat", RULE).stdout
    machine.run("rm", RULE)
    try:
        wait_until(lambda: asked(elastic, "stop", NOBODY) != 0, 30, "polkit to see that it is gone")
        assert machine.run("systemctl", "restart", SCALER, check=False).returncode != 0
        assert machine.show(SCALER, "ExecMainStatus") == "78"
        assert f"`sudo visionfleet install` makes the rule {RULE}" in told(elastic)
    finally:
        machine.write(RULE, rule)


def asked(host: Host, *command: str) -> int:
    """Ask systemd as a daemon would; gives the exit status."""
    words = ("setpriv", "--reuid=visionfleet", "--clear-groups", "systemctl", "--no-ask-password")
    return host.machine.run(*words, *command, check=False).returncode


def test_daemons_may_start_nothing_but_classifiers(idle_host: Host) -> None:
    for command in (
        ("start", "visionfleet-poweroff.service"),
        ("stop", WEB),
        ("restart", CLASSIFIERS[0]),
        ("start", "visionfleet-classifier@0.service", "--job-mode=isolate"),
        ("enable", CLASSIFIERS[0]),
        ("poweroff",),
    ):
        assert asked(idle_host, *command) != 0, command
