"""An artefact as `model.path`: used as is, on any kind of processor."""

import hashlib
from dataclasses import replace
from pathlib import Path

from visionfleet.config.classifier import DEFAULT_MODEL, ModelSection
from visionfleet.errors import BadModel
from visionfleet.model import artefact
from visionfleet.model.artefact import Artefact
from visionfleet.model.file_kinds import ANY_ARTEFACT
from visionfleet.model.processor import Processor
from visionfleet.model.source import SCHEME, Source, read_labels

_SUFFIX = ".artefact"


def own_artefact(choice: ModelSection, source: Source, here: Processor) -> Artefact | None:
    """Open the artefact in `model.path`; None if it is not one. Raises BadModel, TryLater."""
    if choice.path is None or choice.sha256 is None:
        return None
    found = _found(choice.path, choice.sha256, source)
    return None if found is None else _as_configured(found, choice, source, here)


def _found(path: str, sha256: str, source: Source) -> Artefact | None:
    if path.startswith(SCHEME):
        data = source.read_checked(path, "model.path", sha256)
        return artefact.open_bytes(data, path) if data.startswith(ANY_ARTEFACT) else None
    place = Path(path)
    if place.is_dir():
        return _in_folder(place, sha256)
    return artefact.open_file(place, sha256) if is_artefact(place) else None


def is_artefact(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(6) == ANY_ARTEFACT
    except OSError:
        return False  # the next reader reports the error


def renamed(found: Artefact, name: str) -> Artefact:
    about = found.manifest.info.model_copy(update={"name": name})
    return replace(found, manifest=found.manifest.model_copy(update={"info": about}))


def _in_folder(folder: Path, sha256: str) -> Artefact:
    files = sorted(folder.glob(f"*{_SUFFIX}"))
    for file in files:
        with file.open("rb") as opened:
            if hashlib.file_digest(opened, "sha256").hexdigest() == sha256:
                return artefact.open_file(file, sha256)
    if not files:
        raise BadModel(
            f"{folder}: is a folder without an artefact; one is made by "
            f"visionfleet model import {folder}"
        )
    names = ", ".join(file.name for file in files[:3])
    raise BadModel(f"{folder}: none of its artefacts ({names}) has the SHA-256 of model.sha256")


def _as_configured(
    found: Artefact, choice: ModelSection, source: Source, here: Processor
) -> Artefact:
    manifest, chosen = found.manifest, found.manifest.chosen
    name = manifest.info.name if choice.name == DEFAULT_MODEL else choice.name
    if manifest.processor != here.name and not _multiplies(chosen.precision, here):
        chosen = replace(chosen, precision="float32")
    changes = {"labels": _labels(found, choice.labels, source), "chosen": chosen}
    return renamed(replace(found, manifest=manifest.model_copy(update=changes)), name)


def _labels(found: Artefact, location: str | None, source: Source) -> tuple[str, ...]:
    ours = found.manifest.labels
    theirs = ours if location is None else read_labels(source, location)
    if len(theirs) != len(ours):
        raise BadModel(
            f"{location}: {len(theirs)} labels, and {found.where} tells {len(ours)} classes apart "
            "(model.labels)"
        )
    return theirs


def _multiplies(precision: str, here: Processor) -> bool:
    """Whether its precision is fast here; otherwise its float32 weights are used."""
    if precision == "float16":
        return here.gpu
    return precision != "bfloat16" or here.bfloat16 or here.gpu
