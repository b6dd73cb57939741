"""Has images decoded and prepared in light child processes, with limits."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from visionfleet.classifier.isolation import Isolation
from visionfleet.errors import BadImage
from visionfleet.imaging.model_input import Pixels, Preprocessing

if TYPE_CHECKING:
    from visionfleet.imaging.decode import ImageLimits

# For images that wait for nobody knows what.
LIMIT_SECONDS = 20.0
# From here on an image waits for no other, and no other for it.
SLOW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Decoders:
    isolation: Isolation
    how: Preprocessing

    def pixels(self, data: bytes, limits: "ImageLimits") -> Pixels:
        """Make the model's pixels; raises BadImage, and ChildFailed."""
        names = ("max_bytes", "max_pixels", "formats")
        allowed = {name: getattr(limits, name) for name in names}
        question = {"limits": allowed, "how": asdict(self.how)}
        said, payload = self.isolation.ask(question, data)
        if "code" in said:
            raise BadImage(said["code"], said["reason"])
        side = self.how.crop
        return np.frombuffer(payload, np.uint8).reshape(side, side, 3)
