"""Training photos, one folder per class, and their features."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from visionfleet.errors import BadImage, BadModel
from visionfleet.imaging.decode import ImageLimits, decode
from visionfleet.imaging.decode import Photo as Decoded
from visionfleet.imaging.model_input import Pixels, Preprocessing
from visionfleet.imaging.preprocess import prepare
from visionfleet.model.inference import Inference
from visionfleet.model.network import Floats

LEAST_PHOTOS, LEAST_CLASSES = 5, 2
_BATCH = 8


@dataclass(frozen=True, slots=True)
class Photo:
    name: str
    label: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """Photos, and their features: of the normal view, and of each augmented view."""

    labels: tuple[str, ...]
    names: Sequence[str]
    targets: npt.NDArray[np.int64]
    features: Floats
    views: Sequence[Floats]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What was not used: files that are not images, and photos in several classes."""

    unreadable: tuple[tuple[str, str], ...] = ()
    repeated: tuple[str, ...] = ()
    contradictory: tuple[tuple[str, ...], ...] = ()


def of_folder(folder: Path) -> Iterator[Photo]:
    """List files in class folders; raises BadModel if there are none."""
    try:
        classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
        files = [
            (one.name, path)
            for one in classes
            for path in sorted(one.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        ]
        if not files:
            raise BadModel(f"{folder}: no photos in folders named by class, as daisy/1.jpg")
        for label, path in files:
            yield Photo(path.relative_to(folder).as_posix(), label, path.read_bytes())
    except OSError as error:
        raise BadModel(f"{error.filename or folder}: cannot be read: {error.strerror}") from error


def once_each(photos: Sequence[Photo]) -> tuple[list[Photo], LeftOut]:
    """Drop duplicates, and all copies of photos that are in two classes."""
    by_content: dict[str, list[Photo]] = {}
    for photo in photos:
        by_content.setdefault(hashlib.sha256(photo.data).hexdigest(), []).append(photo)
    same = list(by_content.values())
    kept = [some[0] for some in same if len({photo.label for photo in some}) == 1]
    repeated = [
        photo.name for some in same if len({one.label for one in some}) == 1 for photo in some[1:]
    ]
    contradictory = [
        tuple(one.name for one in some) for some in same if len({one.label for one in some}) > 1
    ]
    return kept, LeftOut(repeated=tuple(repeated), contradictory=tuple(contradictory))


def check_enough(photos: Sequence[Photo]) -> None:
    """Raise BadModel if there are too few classes, or too few photos of one."""
    counts = Counter(photo.label for photo in photos)
    if len(counts) < LEAST_CLASSES:
        raise BadModel(f"{LEAST_CLASSES} classes at least: there is {', '.join(counts) or 'none'}")
    for label, count in sorted(counts.items()):
        if count < LEAST_PHOTOS:
            raise BadModel(f"{label}: {count} photos that can be used; it takes {LEAST_PHOTOS}")


def seen_by(
    model: Inference, photos: Sequence[Photo], limits: ImageLimits, threads: int
) -> tuple[Seen, tuple[tuple[str, str], ...]]:
    """Compute features, and list unreadable files; raises BadModel if too few are left."""
    batches = [photos[start : start + _BATCH] for start in range(0, len(photos), _BATCH)]
    with ThreadPoolExecutor(threads) as pool:
        looked = list(pool.map(lambda some: _look(model, some, limits), batches))
    good = [one for batch in looked for one in batch[0]]
    unreadable = tuple(one for batch in looked for one in batch[1])
    check_enough([photo for photo, _ in good])
    labels = tuple(sorted({photo.label for photo, _ in good}))
    targets = np.array([labels.index(photo.label) for photo, _ in good])
    names = [photo.name for photo, _ in good]
    rows, *views = np.stack([rows for _, rows in good], axis=1)
    return Seen(labels, names, targets, rows, views), unreadable


_Row = tuple[Photo, Floats]  # one row per view


def _look(
    model: Inference, photos: Sequence[Photo], limits: ImageLimits
) -> tuple[list[_Row], list[tuple[str, str]]]:
    good: list[Photo] = []
    pictures: list[Pixels] = []
    unreadable = []
    for photo in photos:
        try:
            shown = decode(photo.data, limits, model.preprocessing.resize)
            pictures += _views(shown, model.preprocessing)
            good.append(photo)
        except BadImage as error:
            unreadable.append((photo.name, str(error)))
    if not good:
        return [], unreadable
    _, rows = model.scores_and_features(pictures)
    if rows is None:
        raise BadModel(f"{model.info.name}: cannot be taught: its last layer is not known")
    by_photo = rows.reshape(len(good), -1, rows.shape[1])
    return list(zip(good, by_photo, strict=True)), unreadable


def _views(photo: Decoded, how: Preprocessing) -> list[Pixels]:
    """The normal crop, the whole photo, and the mirror images of both."""
    seen = prepare(photo, how), prepare(photo, replace(how, resize=how.crop))
    return [view for one in seen for view in (one, np.ascontiguousarray(one[:, ::-1]))]
