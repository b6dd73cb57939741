"""Embeddings in JSON: float32, little-endian, base64. No I/O here."""

import base64
import struct
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic.json_schema import SkipJsonSchema

_BYTES = 4


def encode_vector(values: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def decode_vector(text: str) -> tuple[float, ...]:
    """Parse an embedding; raises ValueError."""
    packed = base64.b64decode(text, validate=True)
    if not packed or len(packed) % _BYTES:
        raise ValueError(f"{len(packed)} bytes are no float32 values")
    return struct.unpack(f"<{len(packed) // _BYTES}f", packed)


def _readable(text: str) -> str:
    decode_vector(text)
    return text


# The field of messages; clients get another form.
Vector = Annotated[
    SkipJsonSchema[Annotated[str, AfterValidator(_readable)] | None],
    Field(exclude_if=lambda vector: vector is None),
]
