"""Corrected images, as training data."""

from collections.abc import Iterator
from dataclasses import dataclass

from visionfleet.aws.clients import client_factory
from visionfleet.aws.s3 import Store
from visionfleet.config import Config
from visionfleet.contract import names
from visionfleet.contract.corrections import Correction, correction
from visionfleet.model.teaching.photos import Photo


@dataclass(frozen=True, slots=True)
class Corrected:
    """`photo` is None if the image was gone when corrected, or was deleted later."""

    correction: Correction
    photo: Photo | None


def of_corrections(config: Config) -> Iterator[Corrected]:
    """Read them from the buckets; raises TryLater, GiveUp."""
    s3 = client_factory(config.aws).client("s3")
    uploads, results = (
        Store(s3, bucket) for bucket in (config.storage.input_bucket, config.storage.output_bucket)
    )
    for key in results.keys(names.CORRECTIONS_PREFIX):
        job = key.removeprefix(names.CORRECTIONS_PREFIX).removesuffix(".json")
        if key != names.correction_key(job):  # an image, if both buckets are the same
            continue
        found = results.read(correction(job))
        if found is not None:
            data = uploads.find(names.corrected_image_key(job)) if found.image_kept else None
            photo = None if data is None else Photo(f"job {job}", found.label, data)
            yield Corrected(found, photo)


def told(found: list[Corrected]) -> str:
    unsure = sum(one.correction.unsure for one in found)
    wrong = sum(one.correction.answered != one.correction.label for one in found)
    gone = sum(one.photo is None for one in found)
    return (
        f"{len(found)} corrections: {wrong} other labels, {unsure} that the model was not sure of, "
        f"{gone} whose image is gone and teaches nothing"
    )
