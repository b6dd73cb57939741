"""The journal of a booted machine answers what operators ask of it (docs/journal.md)."""

import json
from functools import partial
from typing import Any

from testkit.images.pictures import encoded, numbered
from testkit.machine.host import CLASSIFIERS, SCALER, WEB, Host
from testkit.processes.waiting import wait_until
from visionfleet.logs.message_ids import MESSAGE_IDS

KILL_MAIN = ("kill", "--kill-who=main", "--signal=HUP")


def entries(host: Host, *matches: str) -> list[dict[str, Any]]:
    """Ask the journal as the documented queries do."""
    return [json.loads(line) for line in host.machine.journal("-o", "json", *matches).splitlines()]


def kind(sentence: str) -> str:
    return f"MESSAGE_ID={MESSAGE_IDS[sentence]}"


def test_journal_follows_an_image_from_upload_to_label(service: Host) -> None:
    (job,) = service.upload_all([encoded(numbered(2))])
    (result,) = service.results([job])
    done = lambda: entries(service, kind("job done"), f"JOB_ID={job}")  # noqa: E731
    (entry,) = wait_until(done, 30, "the end of the job in the journal")
    assert entry["WORKER_ID"] == result["worker"]
    assert entry["MODEL"] == result["model"]["name"]
    assert entry["SYSLOG_IDENTIFIER"] == "visionfleet-classifier"
    assert (entry["PRIORITY"], entry["_TRANSPORT"]) == ("6", "journal")
    assert entry["MESSAGE"].startswith(f"job done job={job} attempts=1 label=")
    assert entry["VISIONFLEET_LABEL"] == str(result["label"])
    assert entry["CODE_FILE"].endswith("completion.py")
    kinds = [each.get("MESSAGE_ID") for each in entries(service, f"JOB_ID={job}")]
    through = ("job accepted", "job received", "job done", "job answered")
    assert {MESSAGE_IDS[sentence] for sentence in through} <= set(kinds)


def test_journal_tells_what_failed_and_why(service: Host) -> None:
    whole = encoded(numbered(1, side=200), "JPEG")
    (job,) = service.upload_all([whole[: len(whole) // 2]])
    (result,) = service.results([job])
    failed = lambda: entries(service, "--since=-1h", kind("job failed"), f"JOB_ID={job}")  # noqa: E731
    (entry,) = wait_until(failed, 30, "the failure in the journal")
    assert entry["VISIONFLEET_CODE"] == result["code"]
    assert entry["REASON"]


def test_journal_tells_which_reload_was_refused(service: Host) -> None:
    refused = kind("configuration faulty, nothing changed")
    with service.settings("log: {level: LOUD}\n"):
        for unit in (WEB, SCALER, *CLASSIFIERS):
            service.machine.systemctl(*KILL_MAIN, unit)
            mine = f"_PID={service.pid(unit)}"
            wait_until(partial(entries, service, refused, mine), 20, f"{unit}: a refusal")
            (fault,) = wait_until(partial(entries, service, kind("fault"), mine), 30, "a fault")
            assert "log.level: expected one of" in fault["VISIONFLEET_FAULT"]
            assert fault["PRIORITY"] == "3"
            assert service.machine.show(unit, "ActiveState") == "active"


def test_journal_tells_why_a_start_was_refused(service: Host) -> None:
    web = "SYSLOG_IDENTIFIER=visionfleet-web"

    def told() -> list[dict[str, Any]]:
        return entries(service, kind("configuration faulty"), web)

    before = len(told())
    with service.settings("web: {port: none}\n"):
        service.machine.run("systemctl", "restart", WEB, check=False)
        wait_until(lambda: len(told()) > before, 20, "the refusal in the journal")
    fault = entries(service, kind("fault"), web)[-1]
    assert "web.port: expected an integer from 1 to 65535" in fault["VISIONFLEET_FAULT"]
