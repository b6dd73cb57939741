"""Stores corrected labels with their images; blocking S3 calls."""

from collections.abc import Callable
from dataclasses import dataclass

from visionfleet.aws.s3 import Store, file_name_metadata
from visionfleet.contract import corrections, messages, names
from visionfleet.contract.corrections import Correction
from visionfleet.contract.messages import Succeeded
from visionfleet.errors import TryLater


@dataclass(frozen=True, slots=True)
class Corrections:
    """`now` is wall time in seconds."""

    uploads: Store
    results: Store
    now: Callable[[], float]

    def find(self, job: str) -> Correction | None:
        return self.results.read(corrections.correction(job))

    def correct(self, result: Succeeded, label: str) -> Correction:
        """Store a label, and a copy of the image if it still exists; the last label wins."""
        known, kept = self.find(result.job), self._keep_image(result)
        if known is not None and (known.label, known.image_kept) == (label, kept):
            return known
        made = Correction(
            job=result.job,
            label=label,
            at=self.now(),
            image_kept=kept,
            file_name=result.file_name,
            answered=result.best,
            score=result.score,
            unsure=result.label is None,
            model=result.model,
        )
        self.results.put_json(names.correction_key(result.job), messages.encode(made))
        return made

    def _keep_image(self, result: Succeeded) -> bool:
        """Copy the image to where its lifecycle rule does not apply; False if it is gone."""
        source, key = names.image_key(result.job), names.corrected_image_key(result.job)
        if self.uploads.exists(key):
            return True
        image = self.uploads.find_stat(source)
        if image is None:
            return False
        metadata = file_name_metadata(result.file_name)
        if not self.uploads.copy((source, image.etag), key, "application/octet-stream", metadata):
            raise TryLater(f"{source} was written over meanwhile")
        return True
