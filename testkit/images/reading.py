"""From the bytes of a file to pixels in one call, within limits of no configuration."""

from dataclasses import dataclass

from visionfleet.imaging.model_input import Pixels, Preprocessing
from visionfleet.imaging.preprocess import pixels_of


@dataclass(frozen=True, slots=True)
class Limits:
    max_bytes: int
    max_pixels: int
    formats: tuple[str, ...]


def read_pixels(data: bytes, limits: Limits, how: Preprocessing) -> Pixels:
    return pixels_of(data, limits, how)
