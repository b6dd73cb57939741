"""What the admin command says: names of images, lines of answers, lengths of time."""

import argparse
import json
import os
from pathlib import Path

import pytest

from visionfleet.cli import options, status, terminal
from visionfleet.cli.classify import InputImage, images, json_line
from visionfleet.cli.client import Answer
from visionfleet.contract.messages import FleetStatus


def test_classify_searches_folders_for_images_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / ".cache").mkdir()
    hidden = (".cache/c.png", "b/._1.png")
    for name in ("b/2.JPG", "b/1.png", "a.webp", "notes.txt", *hidden):
        (tmp_path / name).touch()
    found = [image.content for image in images([tmp_path])]
    assert found == [tmp_path / "a.webp", tmp_path / "b/1.png", tmp_path / "b/2.JPG"]


def test_classify_takes_any_named_file_and_dash_is_stdin() -> None:
    found = list(images([Path("x.bin"), Path("-")]))
    assert found == [InputImage("x.bin", Path("x.bin")), InputImage("stdin", None)]


def test_file_name_that_is_not_utf8_can_be_printed() -> None:
    assert terminal.printable(os.fsdecode(b"caf\xe9.jpg")) == "caf�.jpg"


def test_json_lines_of_a_label_and_of_a_problem() -> None:
    good = Answer("a.jpg", 0.12345, label="cat", score=0.9, job="j1", top=({"index": 3},))
    assert json.loads(json_line(good)) == {
        "file": "a.jpg",
        "label": "cat",
        "score": 0.9,
        "top": [{"index": 3}],
        "job": "j1",
        "seconds": 0.123,
    }
    unsure = Answer("u.jpg", 1.0, score=0.3, top=({"label": "cat"},), reason="low confidence")
    said = json.loads(json_line(unsure))
    assert (said["label"], said["reason"]) == (None, "low confidence")
    assert unsure.guess == "unsure: cat?"
    bad = Answer("b.jpg", 2.0, problem="no", code="empty")
    assert json.loads(json_line(bad)) == {
        "file": "b.jpg",
        "problem": "no",
        "code": "empty",
        "job": None,
        "seconds": 2.0,
    }


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3600, "60 min"),
        (5400, "1.5 h"),
        (172800, "2 d"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert status.span(seconds) == words


def fleet(**changes: object) -> FleetStatus:
    values: dict[str, object] = {
        "at": 100.0,
        "visible": 0,
        "in_flight": 0,
        "minimum": 0,
        "maximum": 4,
        "states": {},
        "decision": "hold at 0",
        "decided_at": 70.0,
    }
    return FleetStatus.model_validate(values | changes)


def test_scaler_state_in_words() -> None:
    seen = fleet(states={"idle": 1, "busy": 2})
    assert list(status.scaler_lines(seen, 100.0)) == [
        "Workers: 2 busy, 1 idle (minimum 0, maximum 4)",
        "Last decision, 30 s ago: hold at 0",
    ]
    whole = fleet(
        holder="h-1",
        term=3,
        policy="pace",
        boot_seconds=31.0,
        service_seconds=0.25,
        alarms=("ouch",),
    )
    assert list(status.scaler_lines(whole, 100.0))[1:] == [
        "Scaler: h-1, term 3, policy pace",
        "Learned: a boot takes 31.0 s, an image takes 0.250 s",
        "Last decision, 30 s ago: hold at 0",
        "Alarm: ouch",
    ]
    assert list(status.scaler_lines(fleet(), 400.0))[-1] == (
        "The scaler reported last 5 min ago: is it running?"
    )
    assert list(status.scaler_lines(None, 0.0)) == [status.NO_STATUS]


@pytest.mark.parametrize("text", ["0", "1001", "-1", "1.5", "x", "", "²"])
def test_count_option_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="an integer from 1 to 1000"):
        options.whole(1, 1000)(text)


@pytest.mark.parametrize("text", ["-0.1", "61", "nan", "inf", "x", ""])
def test_seconds_option_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="seconds from 0 to 60"):
        options.seconds(0, 60)(text)


def test_bounds_of_options_are_inclusive() -> None:
    assert [options.whole(1, 1000)(text) for text in ("1", "1000")] == [1, 1000]
    assert [options.seconds(0, 60)(text) for text in ("0", "60", "0.5")] == [0, 60, 0.5]
