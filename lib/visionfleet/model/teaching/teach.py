"""From labelled photos to a taught model: file, report, settings."""

import hashlib
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, replace

import torch

from visionfleet import __version__
from visionfleet.config import Config
from visionfleet.errors import BadModel
from visionfleet.host import cpu_quota
from visionfleet.model import making
from visionfleet.model.choice import Asked, Chosen
from visionfleet.model.loading import load
from visionfleet.model.open import open_model
from visionfleet.model.teaching.head import fit, groups_of, judge, material
from visionfleet.model.teaching.photos import Photo, check_enough, once_each, seen_by
from visionfleet.model.teaching.report import Report, report
from visionfleet.model.teaching.taught_file import Card, written


@dataclass(frozen=True, slots=True)
class Taught:
    """A taught model: file, labels and report; `runtime` is its base's."""

    file: bytes
    labels: tuple[str, ...]
    report: Report
    runtime: Asked

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.file).hexdigest()


def teach(config: Config, photos: Sequence[Photo], environment: MutableMapping[str, str]) -> Taught:
    """Teach the configured model; raises BadModel, and TryLater if S3 fails."""
    kept, left = once_each(photos)
    check_enough(kept)
    threads = config.model.threads or cpu_quota.granted()
    alone = config.model.model_copy(update={"threads": 1})
    model = open_model(config.model_copy(update={"model": alone}), environment, lanes=threads)
    if model.features is None:
        raise BadModel(f"{model.info.name}: cannot be taught: its last layer is not known")
    seen, unreadable = seen_by(model, kept, config.images, threads)
    torch.set_num_threads(1)  # its operations are too small for more
    given = material(seen.features, seen.views, seen.targets, len(seen.labels))
    groups = groups_of(seen.features, seen.targets)
    judged = judge(given, groups)
    left = replace(left, unreadable=unreadable)
    found = report(seen, given, judged, groups, left)
    base = load(config.model, making.source_of(config))
    card = Card(
        labels=seen.labels,
        architecture=base.architecture or "",
        preprocessing=base.preprocessing,
        temperature=judged.temperature,
        unknown_below=judged.unknown_below,
        base=base.info,
        made_by=__version__,
    )
    data = written(base, fit(given, judged.penalty), card)
    return Taught(data, seen.labels, found, runtime_of(model.precision))


def runtime_of(base: Chosen) -> Asked:
    """Where the taught model is cheapest: as its base, except in int8, which must agree anew."""
    return Asked() if base.precision == "int8" else Asked(base.runtime, base.precision)
