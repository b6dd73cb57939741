"""When supervisord ends with its program, and the timeouts in its files."""

from configparser import RawConfigParser

import pytest

from testkit import ROOT
from visionfleet.cli.end_supervisor import reason
from visionfleet.config.schema import Config
from visionfleet.local.supervisor_events import EXITED, FATAL, SupervisorEvent

ROLES = ("web", "scaler", "classifier")
FOLDER = ROOT / "etc" / "supervisor"


@pytest.mark.parametrize(
    ("event", "expected", "words"),
    [
        (FATAL, None, "web does not start"),
        (EXITED, "1", "web has ended and is not to be started again"),
        (EXITED, "0", None),  # supervisor starts it again
        ("PROCESS_STATE_STOPPED", "1", None),
    ],
)
def test_supervisor_exit_reason_by_event(
    event: str, expected: str | None, words: str | None
) -> None:
    payload = {"processname": "web", "groupname": "web", "from_state": "RUNNING"}
    given = payload | ({"expected": expected} if expected else {})
    assert reason(SupervisorEvent(event, given)) == words


def read(role: str) -> RawConfigParser:
    parser = RawConfigParser(inline_comment_prefixes=(";",))
    parser.read(FOLDER / f"{role}.conf")
    return parser


@pytest.mark.parametrize("role", ROLES)
def test_supervisor_files_do_not_retry_a_wrong_configuration(role: str) -> None:
    program = read(role)[f"program:{role}"]
    assert program["command"] == f"visionfleet-{role}"
    assert program["exitcodes"].split(",") == ["0", "78"]
    assert program["autorestart"] == "unexpected"
    assert program["startretries"] == "0"


def test_supervisor_files_stop_timeouts_cover_stop_seconds() -> None:
    config = Config()
    seconds = {role: read(role)[f"program:{role}"].getfloat("stopwaitsecs") for role in ROLES}
    assert seconds["web"] == config.web.unready_seconds + config.web.stop_seconds + 10
    assert seconds["classifier"] == config.classifier.stop_seconds + 10
    local = read("local")
    for role in ("web", "classifier"):
        assert local[f"program:{role}"].getfloat("stopwaitsecs") == seconds[role]
