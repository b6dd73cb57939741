"""Labelled images from a folder or ZIP file: one folder per class, or files named by class."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from visionfleet.errors import VisionfleetError, reason_of

_T = TypeVar("_T")

# For 000_tench.jpg outside class folders: the number is the class.
_NUMBERED = re.compile(r"(\d+)_[^/]*")
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


class BadDataset(VisionfleetError):
    """A data set that cannot be read, or whose classes are not the model's."""


@dataclass(frozen=True, slots=True)
class Labelled:
    name: str
    folder: str
    data: bytes


def count(path: Path) -> int:
    found = sum(1 for _ in _names(path))
    if not found:
        raise BadDataset(f"{path}: no images by class, like cat/1.jpg or 000_tench.jpg")
    return found


def read_any(folder: Path, maximum: int) -> Iterator[Labelled]:
    """Read the images of a folder, also those outside class folders."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES)
    for path in spread(files, maximum):
        name = path.relative_to(folder).as_posix()
        yield Labelled(name, _folder(name), path.read_bytes())


def read(path: Path, maximum: int | None = None) -> Iterator[Labelled]:
    """Read the images sorted by name, or `maximum` of them, spread over all classes."""
    names = spread(_names(path), maximum)
    if path.is_dir():
        for name in names:
            yield Labelled(name, _folder(name), (path / name).read_bytes())
        return
    with zipfile.ZipFile(path) as archive:
        for name in names:
            yield Labelled(name, _folder(name), archive.read(name))


def spread(values: Sequence[_T], maximum: int | None) -> Sequence[_T]:
    count = len(values)
    if maximum is None or maximum >= count:
        return values
    return [values[number * count // maximum] for number in range(maximum)]


def class_indices(folders: set[str], labels: tuple[str, ...]) -> dict[str, int]:
    """The class of each folder, by label or number.

    Labels are compared case-insensitively, up to the first comma: `tench` is `tench, Tinca tinca`.
    Raises BadDataset naming what matches no label.
    """
    known = {_plain(label): index for index, label in reversed(list(enumerate(labels)))}
    numbers = {str(index): index for index in range(len(labels))}
    found = {f: known.get(_plain(f), numbers.get(f.lstrip("0") or f[:1])) for f in folders}
    unknown = sorted(folder or "(none)" for folder, index in found.items() if index is None)
    if unknown:
        some = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise BadDataset(f"class folders that are no label of the model: {some}")
    return {folder: index for folder, index in found.items() if index is not None}


def _plain(label: str) -> str:
    return label.partition(",")[0].strip().lower().replace("_", " ")


def _names(path: Path) -> list[str]:
    try:
        if path.is_dir():
            files = (p.relative_to(path) for p in path.rglob("*") if p.is_file())
            names = [file.as_posix() for file in files]
        else:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise BadDataset(f"{path}: neither a folder nor a ZIP file") from error
    except OSError as error:
        raise BadDataset(f"{path}: {reason_of(error)}") from error
    return sorted(n for n in names if PurePosixPath(n).suffix.lower() in SUFFIXES and _folder(n))


def _folder(name: str) -> str:
    """The class of an image; empty outside class folders."""
    number = _NUMBERED.fullmatch(name)
    return number[1] if number else PurePosixPath(name).parent.name
