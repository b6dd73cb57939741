"""The base class of all message parts. No I/O here."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """Frozen, strict in types, ignores unknown fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")
