"""Decodes and prepares images in light child processes, with limits; no torch there."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from visionfleet.classifier.isolation import Isolation
from visionfleet.errors import BadImage
from visionfleet.host.child import Header, bound
from visionfleet.imaging.cost import MAX_DECODE_BYTES
from visionfleet.imaging.decode import ImageLimits, decode
from visionfleet.imaging.preprocess import Pixels, Preprocessing, prepare

# What passes the limits takes 10 s at the most; beside it there is other work on the processor.
CPU_SECONDS = 15
# For images that wait for nobody knows what.
LIMIT_SECONDS = 20.0
# From here on an image waits for no other, and no other for it.
SLOW_SECONDS = 1.0
_MARGIN_BYTES = 128 << 20
_REASON_LETTERS = 2000


@dataclass(frozen=True, slots=True)
class _Limits:
    max_bytes: int
    max_pixels: int
    formats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decoders:
    isolation: Isolation
    how: Preprocessing

    def pixels(self, data: bytes, limits: ImageLimits) -> Pixels:
        """Make the model's pixels; raises BadImage, and ChildFailed."""
        allowed = _Limits(limits.max_bytes, limits.max_pixels, tuple(limits.formats))
        question = {"limits": asdict(allowed), "how": asdict(self.how)}
        said, payload = self.isolation.ask(question, data)
        if "code" in said:
            raise BadImage(said["code"], said["reason"])
        side = self.how.crop
        return np.frombuffer(payload, np.uint8).reshape(side, side, 3)


def decoded(question: Header, data: bytes) -> tuple[Header, bytes]:
    """Answer in the child."""
    bound(MAX_DECODE_BYTES + 2 * len(data) + _MARGIN_BYTES, CPU_SECONDS)
    how = Preprocessing(**question["how"])
    limits: dict[str, Any] = question["limits"]
    try:
        return {}, prepare(decode(data, _Limits(**limits), how.resize), how).tobytes()
    except BadImage as error:
        return {"code": error.code, "reason": str(error)[:_REASON_LETTERS]}, b""
