"""The service on a booted machine: an image goes in, its label comes out, all can be watched."""

import json
import os
from functools import partial

from testkit import ROOT
from testkit.images.pictures import encoded, numbered
from testkit.machine.host import CLASSIFIERS, DAEMONS, SCALER, WEB, Host
from testkit.processes.waiting import wait_until

IMAGE = (ROOT / "models" / "espresso.jpg").read_bytes()


def test_curl_upload_gets_its_label(service: Host) -> None:
    label = service.curl("--form", "file=@-;filename=a.jpg", "/", stdin=IMAGE)
    assert label == "espresso"


def test_result_names_its_classifier(service: Host) -> None:
    jobs = service.upload_all(encoded(numbered(n)) for n in range(20))
    workers = {result["worker"].rpartition("-")[2] for result in service.results(jobs)}
    assert workers <= {"0", "1"}


def test_each_classifier_is_bound_to_its_cpu(service: Host) -> None:
    allowed = []
    for unit in CLASSIFIERS:
        status = service.machine.run("cat", f"/proc/{service.pid(unit)}/status").stdout
        allowed += [line.split()[1] for line in status.splitlines() if "allowed_list" in line][:1]
    assert sorted(allowed) == sorted(map(str, sorted(os.sched_getaffinity(0))[:2]))


def test_systemd_status_line_describes_each_daemon(service: Host) -> None:
    expected = {SCALER: "acting", WEB: "ready"}
    expected |= dict.fromkeys(CLASSIFIERS, "model efficientnet_lite0")
    for unit, words in expected.items():
        wait_until(partial(tells, service, unit, words), 30, f"{words} of {unit}")


def tells(service: Host, unit: str, words: str) -> bool:
    return words in service.status(unit)


def test_systemctl_status_shows_the_status_line(service: Host) -> None:
    def shown() -> bool:
        told = f'Status: "{service.status(WEB)}"'
        return told in service.machine.systemctl("status", "--no-pager", WEB)

    wait_until(shown, 30, "its line, which may change between two looks")


def test_journal_follows_one_image(service: Host) -> None:
    job = service.upload(IMAGE)
    assert job is not None
    service.results([job])

    def told() -> set[str]:
        lines = service.machine.journal("-o", "json", f"JOB_ID={job}").splitlines()
        return {json.loads(line)["_SYSTEMD_UNIT"].partition("@")[0] for line in lines}

    units = {"visionfleet-web.service", "visionfleet-classifier"}
    wait_until(lambda: told() == units, 30, lambda: f"told by {told()}")


def test_journal_of_a_unit_holds_its_daemon_log(service: Host) -> None:
    for unit in DAEMONS:
        assert "ready" in service.machine.journal("-b", "-u", unit)
