"""Reads uploaded images, and tells an object that S3 refuses from an outage that affects all."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from visionfleet.aws.s3 import Store
from visionfleet.contract.names import image_key
from visionfleet.errors import BadImage, GiveUp, NotFound, TryLater, Unfit, VisionfleetError

# A changed policy takes seconds to propagate: answers differ for that time.
_REFUSALS = 4
_SURE_SECONDS = 8.0
# A worker that has read no image yet can only probe a missing object, which does not reveal a
# disabled KMS key.
_UNSURE_SECONDS = 90.0
# Errors that should pass; a hot prefix may be throttled for minutes.
_UNANSWERED_SECONDS = 900.0
_NO_IMAGE = image_key("none")  # never exists: job ids are longer


@dataclass(slots=True)
class UploadedImages:
    """Raises Unfit for an image that S3 does not give out, repeatedly, while others can be read."""

    store: Store
    clock: Callable[[], float] = time.monotonic
    _last_read: str | None = None
    _refused: dict[str, tuple[float, int]] = field(default_factory=dict)

    def read(self, key: str, most_bytes: int) -> bytes:
        """Raises BadImage for a larger one, NotFound, Unfit, and TryLater or another GiveUp if all
        images may be affected.
        """
        try:
            data = self.store.get(key, most_bytes)
        except (NotFound, Unfit):
            raise
        except (GiveUp, TryLater) as error:
            if self._only_this(key, isinstance(error, TryLater)):
                raise Unfit(str(error)) from error
            raise
        self._last_read = key
        self._refused.pop(key, None)
        if len(data) > most_bytes:
            raise BadImage("too_large", f"the file has more than {most_bytes} bytes, the limit")
        return data

    def _only_this(self, key: str, passing: bool) -> bool:
        since, refusals = self._refused.pop(key, (self.clock(), 0))
        sure = self._last_read is not None
        first_error = passing and not refusals  # most are over at the next try
        if not first_error and not self._others_are_read():
            return False
        self._refused[key] = since, refusals + 1
        seconds = _SURE_SECONDS if sure else _UNSURE_SECONDS
        seconds = _UNANSWERED_SECONDS if passing else seconds
        if refusals + 1 < _REFUSALS or self.clock() - since < seconds:
            return False
        del self._refused[key]
        return True

    def _others_are_read(self) -> bool:
        try:
            self.store.get_start(self._last_read or _NO_IMAGE, 1)
        except NotFound:
            return True
        except VisionfleetError:
            return False
        return True
