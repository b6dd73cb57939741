"""Journal entries: field names, priorities, and their wire format."""

import ast
import logging
import os
import re
from pathlib import Path

import pytest

from testkit import ROOT
from visionfleet.logs.journal import stderr_is_journal
from visionfleet.logs.journal_fields import encoded, fields, priority
from visionfleet.logs.message_ids import MESSAGE_IDS


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"job": "01k2"}, [("JOB_ID", "01k2")]),
        ({"worker": "w0", "reason": "idle"}, [("WORKER_ID", "w0"), ("REASON", "idle")]),
        (
            {"model": "resnet18", "decision": "01k3"},
            [("MODEL", "resnet18"), ("DECISION_ID", "01k3")],
        ),
        ({"file_name": "a.jpg"}, [("VISIONFLEET_FILE_NAME", "a.jpg")]),
        # What could be taken for a field of systemd's has our prefix.
        (
            {"message_id": "m1", "PRIORITY": "0"},
            [
                ("VISIONFLEET_MESSAGE_ID", "m1"),
                ("VISIONFLEET_PRIORITY", "0"),
            ],
        ),
        ({"odd name=\n": "x"}, [("VISIONFLEET_ODD_NAME__", "x")]),
        ({"x" * 99: "x"}, [("VISIONFLEET_" + "X" * 52, "x")]),
        # An entry is found by each job, and by each worker that it is about.
        ({"jobs": "j1,j2"}, [("JOB_ID", "j1"), ("JOB_ID", "j2"), ("VISIONFLEET_JOBS", "j1,j2")]),
        ({"drain": ""}, [("VISIONFLEET_DRAIN", "")]),
        ({"terminate": "w1"}, [("WORKER_ID", "w1"), ("VISIONFLEET_TERMINATE", "w1")]),
    ],
)
def test_journal_field_names_are_valid(given: dict[str, str], found: list[tuple[str, str]]) -> None:
    assert list(fields(given)) == found


@pytest.mark.parametrize(
    ("level", "number"),
    [
        (logging.CRITICAL, 2),
        (logging.ERROR, 3),
        (logging.WARNING, 4),
        (logging.INFO, 6),
        (logging.DEBUG, 7),
        (25, 6),
    ],
)
def test_journal_priorities_follow_log_levels(level: int, number: int) -> None:
    assert priority(level) == number


def test_journal_entry_format() -> None:
    entry = encoded([("MESSAGE", "job done"), ("EXCEPTION_TEXT", "a\nb"), ("JOB_ID", "\udcff")])
    length = (3).to_bytes(8, "little")
    assert entry == b"MESSAGE=job done\nEXCEPTION_TEXT\n" + length + b"a\nb\nJOB_ID=?\n"


def test_journal_value_cannot_forge_a_field() -> None:
    entry = encoded([("VISIONFLEET_FILE_NAME", "x\nPRIORITY=0")])
    assert entry.split(b"\n")[0] == b"VISIONFLEET_FILE_NAME"
    assert len(entry) == len("VISIONFLEET_FILE_NAME\n") + 8 + len("x\nPRIORITY=0") + 1


@pytest.mark.parametrize(
    ("stream", "found"), [("{}:{}", True), ("{}:{}1", False), ("", False), ("{}:{} ", False)]
)
def test_journal_stream_names_the_stderr_of_a_unit(
    stream: str, found: bool, tmp_path: Path
) -> None:
    with (tmp_path / "stderr").open("w") as stderr:
        stat = os.fstat(stderr.fileno())
        environment = {"JOURNAL_STREAM": stream.format(stat.st_dev, stat.st_ino)}
        assert stderr_is_journal(environment, stderr.fileno()) == found


def test_message_ids_are_128_bits_and_unique() -> None:
    assert all(re.fullmatch("[0-9a-f]{32}", id_) for id_ in MESSAGE_IDS.values())
    assert len(set(MESSAGE_IDS.values())) == len(MESSAGE_IDS)


def sentences() -> set[str]:
    """All strings that the product logs, or hands to what logs."""
    paths = [*(ROOT / "lib").rglob("*.py"), *(ROOT / "daemons").rglob("*.py")]
    found = set()
    for path in paths:
        if path.name == "message_ids.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
                found |= {a.value for a in given if isinstance(a, ast.Constant)}
            if isinstance(node, ast.Dict):
                found |= {v.value for v in node.values if isinstance(v, ast.Constant)}
    return {each for each in found if isinstance(each, str)}


def test_message_ids_belong_to_logged_and_documented_sentences() -> None:
    assert set(MESSAGE_IDS) <= sentences()
    document = (ROOT / "docs" / "journal.md").read_text()
    for sentence, id_ in MESSAGE_IDS.items():
        assert re.search(rf"\| `{re.escape(sentence)}` \| `{id_}` \|", document), sentence
