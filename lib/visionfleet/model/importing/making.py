"""From a source to a tested artefact, and the settings that use it."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import yaml

from visionfleet.config.classifier import ModelSection
from visionfleet.config.schema import ImagesSection
from visionfleet.errors import BadModel
from visionfleet.host import cpu_quota
from visionfleet.imaging.preprocess import pixels_of
from visionfleet.model import artefact, processor
from visionfleet.model.artefact import Artefact
from visionfleet.model.building import encoded
from visionfleet.model.choice import Asked, Chosen
from visionfleet.model.importing.answers import answered
from visionfleet.model.importing.found import Tell, Wanted, labels_for
from visionfleet.model.importing.programs import program_of
from visionfleet.model.importing.sources import find
from visionfleet.model.inference import Inference
from visionfleet.model.loaded import Loaded, info
from visionfleet.model.open import opened
from visionfleet.model.own_artefact import is_artefact, renamed
from visionfleet.model.processor import Processor
from visionfleet.model.samples import PHOTOS, built_in
from visionfleet.model.source import write_for_daemons
from visionfleet.model.torch_network import TorchNetwork
from visionfleet.model.trials import Contest, compete

_BATCH_SIZE = 8
# Photos whose top two classes are nearer than this count as ties.
_TIE = 0.1


@dataclass(frozen=True, slots=True)
class Compared:
    """Source and artefact on one photo, and the largest difference of a probability."""

    photo: str
    its_own: str
    ours: str
    score: float
    difference: float
    same: bool


@dataclass(frozen=True, slots=True)
class Imported:
    data: bytes
    opened: Artefact
    what: str
    notes: tuple[str, ...]
    compared: tuple[Compared, ...]


def imported(
    source: str, wanted: Wanted, name: str | None, environment: Mapping[str, str], tell: Tell
) -> Imported:
    """Make a source's artefact; raises BadModel with what is missing."""
    if ready := _ready_made(Path(source), name, processor.here(environment)):
        return ready
    found = find(source, wanted, tell)
    tell(f"{found.what}: trying it ...")
    own = found.model
    module, scores, note = answered(own, source, len(wanted.labels or own.labels))
    labels, guessed = labels_for(own.labels, scores, wanted, source)
    about = info(name, own.source) if name else own.info
    loaded = replace(own, module=module, labels=labels, info=about)
    if module is not own.module and own.kind not in {"onnx", "module"}:
        loaded = replace(loaded, kind="torchscript")
    data = _made(loaded, own, environment)
    made = artefact.open_bytes(data, source)
    model = opened(made, ModelSection(), cpu_quota.granted())
    compared = tuple(_compare(loaded, model))
    if different := [one for one in compared if not one.same]:
        one = different[0]
        raise BadModel(
            f"{source}: says {one.its_own} of the photo {one.photo}, and its artefact {one.ours}: "
            "it was not written"
        )
    notes = tuple(filter(None, (*found.notes, note, guessed)))
    return Imported(data, made, found.what, notes, compared)


def _ready_made(path: Path, name: str | None, here: Processor) -> Imported | None:
    """Use an existing artefact; of a folder, the one for this kind of processor."""
    files = sorted(path.glob("*.artefact")) if path.is_dir() else [path] if path.is_file() else []
    found = [one for one in files if is_artefact(one)]
    if not found or (path / "config.json").is_file():
        return None
    every = [artefact.open_file(one) for one in found]
    fitting = [i for i, one in enumerate(every) if one.manifest.processor == here.name]
    taken = fitting[0] if fitting else 0
    model = opened(every[taken], ModelSection(), cpu_quota.granted())
    model.scores([np.zeros((model.preprocessing.crop,) * 2 + (3,), np.uint8)])
    data = found[taken].read_bytes()
    if name is not None:
        every[taken] = renamed(every[taken], name)
    return Imported(data, every[taken], f"the artefact {found[taken]}", (), ())


def _made(loaded: Loaded, own: Loaded, environment: Mapping[str, str]) -> bytes:
    here = processor.here(environment)
    asked = Asked("openvino" if own.kind == "onnx" else "auto", "auto")
    contest = _contest(loaded, asked, here.bfloat16)
    own_file = own.kind in {"torchscript", "exported"} and loaded.module is own.module
    if contest.chosen.runtime == "torch" and not own_file:
        program = program_of(loaded.module, loaded.preprocessing.crop)
        if program is None:
            contest = _contest(loaded, Asked("openvino", "auto"), here.bfloat16)
        else:
            loaded = replace(loaded, source=program)
    return encoded(loaded, contest, here.name)


def _contest(loaded: Loaded, asked: Asked, bfloat16: bool) -> Contest:
    samples = built_in(loaded.preprocessing)
    try:
        return compete(loaded, asked, samples, _BATCH_SIZE, cpu_quota.granted(), bfloat16)
    except BadModel as error:
        # It mentions settings of workers, which do not apply here.
        raise BadModel(re.sub(r"^model\.\w+: |; use float32 or auto$", "", str(error))) from error


def _compare(loaded: Loaded, model: Inference) -> Sequence[Compared]:
    """Run the source in its own framework and the artefact on the same pixels."""
    network = TorchNetwork(loaded.module, loaded.preprocessing, torch.device("cpu"))
    its_own = Inference(network, loaded, Chosen("torch", "float32"))
    found = []
    for path in sorted(PHOTOS.glob("*.jpg")):
        pixels = pixels_of(path.read_bytes(), ImagesSection(), loaded.preprocessing)
        theirs, ours = (one.probabilities([pixels])[0] for one in (its_own, model))
        first, second = int(theirs.argmax()), int(ours.argmax())
        tie = float(theirs[first] - theirs[second]) <= _TIE
        difference = float(np.abs(theirs - ours).max())
        names = loaded.labels[first], loaded.labels[second]
        found.append(Compared(path.stem, *names, float(ours[second]), difference, tie))
    return found


def written(made: Imported, folder: Path) -> tuple[Path, Path]:
    """Write the artefact, and the settings that use it; raises BadModel."""
    name = made.opened.manifest.info.name
    path, settings = folder / f"{name}.artefact", folder / f"{name}.yaml"
    write_for_daemons(path, made.data)
    write_for_daemons(settings, settings_of(made, path.name).encode())
    return path, settings


def settings_of(made: Imported, path: str) -> str:
    manifest = made.opened.manifest
    how = manifest.preprocessing
    section = {
        "name": manifest.info.name,
        "path": path,
        "sha256": hashlib.sha256(made.data).hexdigest(),
    }
    shown = ", ".join(manifest.labels[:8]) + (", ..." if len(manifest.labels) > 8 else "")
    mean, std = ([round(value, 4) for value in values] for values in (how.mean, how.std))
    lines = (
        f"From {made.what}. The artefact holds what follows; import again to change it:",
        f"labels: {len(manifest.labels)}: {shown}".replace("\n", " "),
        f"preprocessing: resize {how.resize}, crop {how.crop}, {how.interpolation}, mean {mean}, "
        f"std {std}",
    )
    text = yaml.safe_dump({"model": section}, sort_keys=False)
    return "".join(f"# {line}\n" for line in lines) + text
