"""What all parts of messages share. No I/O here."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """Frozen, strict in types, lenient to unknown fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")
