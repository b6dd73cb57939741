"""Has images decoded and preprocessed in child processes, with time and memory limits."""

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from visionfleet.classifier.isolation import Isolation
from visionfleet.errors import BadImage
from visionfleet.host.child import Header
from visionfleet.imaging.model_input import Pixels, Preprocessing

if TYPE_CHECKING:
    from visionfleet.imaging.decode import ImageLimits

# The most that an image may take; its child is killed then.
LIMIT_SECONDS = 20.0
# An image that takes longer frees its slot for others.
SLOW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Decoders:
    isolation: Isolation
    how: Preprocessing

    def pixels(self, data: bytes, limits: "ImageLimits") -> Pixels:
        """Decode and preprocess an image; raises BadImage and ChildFailed."""
        question = _question(self.how, limits.max_bytes, limits.max_pixels, limits.formats)
        reply, payload = self.isolation.ask(question, data)
        if "code" in reply:
            raise BadImage(reply["code"], reply["reason"])
        side = self.how.crop
        return np.frombuffer(payload, np.uint8).reshape(side, side, 3)


@lru_cache(maxsize=1)
def _question(
    how: Preprocessing, max_bytes: int, max_pixels: int, formats: tuple[str, ...]
) -> Header:
    limits = {"max_bytes": max_bytes, "max_pixels": max_pixels, "formats": formats}
    return {"limits": limits, "how": asdict(how)}
