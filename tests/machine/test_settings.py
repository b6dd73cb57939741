"""Changed, faulty and secret settings on a booted machine."""

import json
from functools import partial

from testkit.images.pictures import encoded, numbered
from testkit.machine.host import DAEMONS, SCALER, WEB, Host
from testkit.processes.waiting import wait_until

IMAGE = encoded(numbered(2))
KEYS = "/etc/credstore/visionfleet-web-keys"


def test_reload_applies_a_good_file(service: Host) -> None:
    pids = [service.pid(unit) for unit in DAEMONS]
    with service.settings("log: {level: DEBUG}\n"):
        service.machine.systemctl("reload", *DAEMONS)
        for unit in DAEMONS:
            wait_until(partial(told_of_reload, service, unit), 20, f"a reload of {unit}")
    service.machine.systemctl("reload", *DAEMONS)
    assert [service.pid(unit) for unit in DAEMONS] == pids


def told_of_reload(service: Host, unit: str) -> bool:
    lines = service.machine.journal("-b", "-u", unit, "-o", "cat").splitlines()
    return any("reloaded" in line and "log.level" in line for line in lines)


def test_reload_of_a_faulty_file_keeps_the_old_settings(service: Host) -> None:
    pids = [service.pid(unit) for unit in DAEMONS]
    with service.settings("log: {level: LOUD}\nweb: {prot: 80}\n"):
        for unit in DAEMONS:
            done = service.machine.run("systemctl", "reload", unit, check=False)
            assert done.returncode != 0, unit
            log = service.machine.journal("-u", unit, "-n", "20")
            assert "log.level: expected one of DEBUG, INFO, WARNING, ERROR" in log
            assert "did you mean `port`?" in log
        job = service.upload(IMAGE)
        assert job is not None
        service.results([job])
    assert [service.pid(unit) for unit in DAEMONS] == pids
    assert {service.machine.show(unit, "ActiveState") for unit in DAEMONS} == {"active"}


def test_faulty_configuration_is_logged_and_not_retried(service: Host) -> None:
    with service.settings("web: {prot: 80}\n"):
        done = service.machine.run("systemctl", "restart", *DAEMONS, check=False)
        assert done.returncode != 0
        for unit in DAEMONS:
            # What systemd is going to start again is not `failed` but `activating`.
            assert service.machine.show(unit, "ActiveState") == "failed", unit
            assert service.machine.show(unit, "ExecMainStatus") == "78", unit
            assert service.machine.show(unit, "NRestarts") == "0", unit
            assert "did you mean `port`?" in service.machine.journal("-u", unit, "-n", "20")


def test_api_keys_come_from_a_systemd_credential(service: Host) -> None:
    key = service.machine.run("visionfleet", "keys", "add", "ann", "--file", KEYS).stdout.strip()
    try:
        service.machine.systemctl("restart", WEB)
        assert service.upload(IMAGE) is None
        header = ("-H", f"Authorization: Bearer {key}", "-H", "Content-Type: image/png")
        answer = service.curl(*header, "--data-binary", "@-", "/v1/jobs", stdin=IMAGE)
        service.results([json.loads(answer)["job"]])
    finally:
        service.machine.run("rm", KEYS)
        service.machine.systemctl("restart", WEB)
    assert service.upload(IMAGE) is not None


def test_scaler_reload_applies_a_new_maximum(service: Host) -> None:
    with service.settings("scaler: {maximum: 2}\n"):
        service.machine.systemctl("reload", SCALER)
        wait_until(lambda: maximum(service) == 2, 20, "the new maximum")
    service.machine.systemctl("reload", SCALER)
    wait_until(lambda: maximum(service) == 1, 20, "the old maximum")


def maximum(service: Host) -> int:
    status = service.aws.object("fleet/status.json")
    return 0 if status is None else int(json.loads(status)["maximum"])
