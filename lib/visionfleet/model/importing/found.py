"""Options of an import, and what was found in the source."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import nn

from visionfleet.errors import BadModel
from visionfleet.imaging.model_input import Preprocessing
from visionfleet.model import default_model
from visionfleet.model.loaded import Kind, Loaded, info
from visionfleet.model.source import sorted_by_index

IMAGENET = Preprocessing(256, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The command's options; None means what the source says."""

    architecture: str | None = None
    labels: tuple[str, ...] | None = None
    resize: int | None = None
    crop: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    interpolation: str | None = None

    def preprocessing(self, its_own: Preprocessing) -> Preprocessing:
        """The source's own, overridden by the options; raises BadModel."""
        names = ("resize", "crop", "mean", "std", "interpolation")
        said = {n: v for n in names if (v := getattr(self, n)) is not None}
        if "crop" in said and "resize" not in said:
            said["resize"] = round(said["crop"] * its_own.resize / its_own.crop)
        how = replace(its_own, **said)
        if how.crop > how.resize:
            raise BadModel(f"--crop {how.crop} is more than --resize {how.resize}")
        return how


@dataclass(frozen=True, slots=True)
class Found:
    """A model whose labels are empty if unknown; `what` describes it, `notes` are assumptions."""

    model: Loaded
    what: str
    notes: tuple[str, ...] = ()


def model_of(
    module: nn.Module,
    name: str,
    data: bytes,
    how: Preprocessing,
    labels: tuple[str, ...] | None = None,
    kind: Kind = "module",
) -> Loaded:
    """`data` is what its fingerprint is computed from."""
    return Loaded(module, labels or (), how, info(plain_name(name), data), kind, source=data)


def plain_name(text: str) -> str:
    """A valid `model.name`."""
    plain = re.sub(r"[^a-z0-9_.-]+", "-", text.lower()).strip("-._")
    return plain or "model"


def usual(side: int) -> Preprocessing:
    return replace(IMAGENET, crop=side, resize=math.floor(side * IMAGENET.resize / IMAGENET.crop))


def labels_for(
    known: tuple[str, ...], scores: int, wanted: Wanted, where: str
) -> tuple[tuple[str, ...], str]:
    """The class labels, and where they come from if guessed; raises BadModel."""
    labels = wanted.labels or known
    if not labels and scores == len(default_model.labels()):
        return default_model.labels(), "a thousand classes: taken for ImageNet's, in its order"
    if not labels:
        raise BadModel(
            f"{where}: tells {scores} classes apart and holds no names of them: name a file with "
            f"one label a line, in the order of its scores: --labels FILE"
        )
    if len(labels) != scores:
        whose = "--labels names" if wanted.labels else "its own file names"
        raise BadModel(f"{where}: tells {scores} classes apart, and {whose} {len(labels)}")
    return labels, ""


def labels_by_index(named: object) -> tuple[str, ...] | None:
    """Parse class names in common forms: a list, names by index, or indices by name."""
    if isinstance(named, Mapping):
        try:
            named = sorted_by_index(named)
        except KeyError:
            return None
    if not isinstance(named, list | tuple) or not named:
        return None
    return tuple(map(str, named)) if all(isinstance(n, str) for n in named) else None
