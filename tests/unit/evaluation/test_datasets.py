"""Labelled images in class folders."""

import zipfile
from pathlib import Path

import pytest

from visionfleet.evaluation.datasets import BadDataset, class_indices, count, read, read_any

FILES = {"cat/1.jpg": b"c1", "dog/2.PNG": b"d2", "dog/notes.txt": b"no", "readme.jpg": b"no class"}


@pytest.mark.parametrize(
    ("most", "kept"),
    [(None, "abcdef"), (9, "abcdef"), (6, "abcdef"), (3, "ace"), (2, "ad"), (1, "a")],
)
def test_dataset_limit_spreads_over_the_images(tmp_path: Path, most: int, kept: str) -> None:
    for name in "abcdef":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"")
    assert "".join(one.folder for one in read(tmp_path, most)) == kept


def test_datasets_in_folders_and_zips_read_alike(tmp_path: Path) -> None:
    folder, archive = tmp_path / "data", tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for name, data in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
            packed.writestr(name, data)
    for path in (folder, archive):
        assert count(path) == 2
        assert [(x.folder, x.data) for x in read(path)] == [("cat", b"c1"), ("dog", b"d2")]


def test_images_may_be_numbered_by_class_in_place_of_folders(tmp_path: Path) -> None:
    for name in ("000_tench.JPEG", "12_a.png", "1_cat/1_2.jpg", "photo.jpg", "7.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [one.folder for one in read(tmp_path)] == ["000", "12", "1_cat"]


def test_dataset_folders_are_labels_or_numbers() -> None:
    labels = ("tench, Tinca tinca", "Golden Fish", "cat")
    folders = {"tench", "golden_fish", "002"}
    assert class_indices(folders, labels) == {"tench": 0, "golden_fish": 1, "002": 2}


def test_dataset_folder_that_is_no_label_is_reported() -> None:
    with pytest.raises(BadDataset, match="no label of the model: cow, horse"):
        class_indices({"cat", "horse", "cow"}, ("cat",))


def test_images_in_no_folder_have_no_class(tmp_path: Path) -> None:
    """They are not of the first class: else every precision would get nearly all of them wrong."""
    for name in ("a.jpg", "b.png", "000_tench.jpg"):
        (tmp_path / name).write_bytes(b"")
    assert [one.folder for one in read_any(tmp_path, 9)] == ["000", "", ""]
    with pytest.raises(BadDataset, match="no label of the model"):
        class_indices({""}, ("tench",))


def test_dataset_without_images_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="no images by class"):
        count(tmp_path)
    (tmp_path / "x.zip").write_bytes(b"no zip")
    with pytest.raises(BadDataset, match="neither a folder nor a ZIP file"):
        count(tmp_path / "x.zip")
