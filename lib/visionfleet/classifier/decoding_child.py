"""Runs in the decoding child process: from an image to the model's input. No torch, no AWS."""

from dataclasses import dataclass
from typing import Any

from visionfleet.errors import BadImage
from visionfleet.host.child import Header, limit_resources, reuse_freed_memory, serve
from visionfleet.imaging.cost import MAX_DECODE_BYTES
from visionfleet.imaging.model_input import Preprocessing
from visionfleet.imaging.preprocess import pixels_of

# An image within the limits takes at most 10 s; the rest is for a loaded processor.
CPU_SECONDS = 15
_MARGIN_BYTES = 128 << 20
_REASON_LETTERS = 2000
# Enough for most photos. Fresh pages for each took 0.2 ms of CPU at 500 x 375 pixels.
_REUSED_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class _Limits:
    max_bytes: int
    max_pixels: int
    formats: tuple[str, ...]


def decoded(question: Header, data: bytes) -> tuple[Header, bytes]:
    limit_resources(MAX_DECODE_BYTES + 2 * len(data) + _MARGIN_BYTES, CPU_SECONDS)
    how = Preprocessing(**question["how"])
    limits: dict[str, Any] = question["limits"]
    try:
        return {}, pixels_of(data, _Limits(**limits), how).tobytes()
    except BadImage as error:
        return {"code": error.code, "reason": str(error)[:_REASON_LETTERS]}, b""


if __name__ == "__main__":
    reuse_freed_memory(_REUSED_BYTES)
    serve(decoded)
