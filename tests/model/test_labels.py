"""Files with the labels of a model."""

from pathlib import Path

import pytest

from testkit.images.model_files import LABELS, choice, torchscript
from visionfleet.errors import BadModel
from visionfleet.model.loading import load

pytestmark = pytest.mark.needs_torch


# Labels

LABEL_FILES = {
    "lines": ("labels.txt", "red\n\n green \nblue"),
    "lines of Windows": ("labels", "\ufeffred\r\ngreen\r\nblue\r\n"),
    "a JSON list": ("labels.json", '["red", "green", "blue"]'),
    "JSON by index": ("labels.json", '{"1": "green", "0": "red", "2": "blue"}'),
    "JSON by name": ("labels.json", '{"green": 1, "blue": 2, "red": 0}'),
    "numbered lines": ("labels.csv", "0,red\n1,green\n2,blue\n"),
    "numbered with colons": ("labels.txt", "0: red\n1: green\n2:\tblue"),
    "JSON of ImageNet": (
        "labels.json",
        '{"0": ["n1", "red"], "1": ["n2", "green"], "2": ["n3", "blue"]}',
    ),
}
BAD_LABELS = {
    "nothing": ("labels.txt", "\n", "no labels in it"),
    "no JSON": ("labels.json", "red\n", "not labels"),
    "a JSON number": ("labels.json", "7", "expected a list of labels"),
    "a list of objects": ("labels.json", '[{"name": "red"}]', "expected a list of labels"),
    "a gap by name": ("labels.json", '{"red": 0, "blue": 2}', "no label for index 1"),
    "a gap": ("labels.json", '{"0": "red", "2": "blue"}', "no label for index 1"),
}


@pytest.mark.parametrize(("name", "text"), LABEL_FILES.values(), ids=LABEL_FILES)
def test_labels_are_read_from_text_and_json(tmp_path: Path, name: str, text: str) -> None:
    chosen = choice(tmp_path, torchscript(), labels=str(tmp_path / name))
    (tmp_path / name).write_text(text)
    assert load(chosen).labels == tuple(LABELS)


def test_numbers_that_are_names_are_kept(tmp_path: Path) -> None:
    chosen = choice(tmp_path, torchscript(), labels=str(tmp_path / "labels"))
    (tmp_path / "labels").write_text("0 stars\n1 star\n2 stars\n")
    assert load(chosen).labels == ("0 stars", "1 star", "2 stars")


@pytest.mark.parametrize(("name", "text", "reason"), BAD_LABELS.values(), ids=BAD_LABELS)
def test_bad_label_files_are_refused(tmp_path: Path, name: str, text: str, reason: str) -> None:
    chosen = choice(tmp_path, torchscript(), labels=str(tmp_path / name))
    (tmp_path / name).write_text(text)
    with pytest.raises(BadModel, match=reason):
        load(chosen)


def test_missing_or_binary_label_files_are_reported(tmp_path: Path) -> None:
    chosen = choice(tmp_path, torchscript(), labels=str(tmp_path / "none.txt"))
    with pytest.raises(BadModel, match=r"none.txt: cannot be read: .*\(model.labels\)"):
        load(chosen)
    (tmp_path / "none.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BadModel, match="not labels"):
        load(chosen)
