"""Reads uploaded images, and tells an object that S3 refuses from an outage that affects all."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from visionfleet.aws.s3 import Store
from visionfleet.contract.names import image_key
from visionfleet.errors import GiveUp, NotFound, Unfit, VisionfleetError

# A changed policy takes seconds to propagate: answers differ for that time.
_REFUSALS = 4
_SURE_SECONDS = 8.0
# A worker that has read no image yet can only probe a missing object, which does not reveal a
# disabled KMS key.
_UNSURE_SECONDS = 90.0
_NO_IMAGE = image_key("none")  # never exists: job ids are longer


@dataclass(slots=True)
class UploadedImages:
    """Raises Unfit for an image that is refused repeatedly while others can be read."""

    store: Store
    clock: Callable[[], float] = time.monotonic
    _last_read: str | None = None
    _refused: dict[str, tuple[float, int]] = field(default_factory=dict)

    def read(self, key: str) -> bytes:
        """Raises NotFound, Unfit, and TryLater or another GiveUp if all images may be affected."""
        try:
            data = self.store.get(key)
        except (NotFound, Unfit):
            raise
        except GiveUp as error:
            if self._only_this(key):
                raise Unfit(str(error)) from error
            raise
        self._last_read = key
        self._refused.pop(key, None)
        return data

    def _only_this(self, key: str) -> bool:
        since, refusals = self._refused.pop(key, (self.clock(), 0))
        sure = self._last_read is not None
        if not self._others_are_read():
            return False
        self._refused[key] = since, refusals + 1
        seconds = _SURE_SECONDS if sure else _UNSURE_SECONDS
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
