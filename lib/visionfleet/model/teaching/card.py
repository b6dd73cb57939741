"""The card in a taught model's file: the settings that belong to its weights."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from visionfleet.contract.messages import ModelInfo
from visionfleet.errors import BadModel
from visionfleet.imaging.model_input import Preprocessing

CARD = "visionfleet"


class Card(BaseModel):
    """Properties of a taught model; `base` is the network it was taught on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    labels: tuple[str, ...]
    architecture: str
    preprocessing: Preprocessing
    temperature: float
    unknown_below: float
    base: ModelInfo
    made_by: str


def card_of(saved: Mapping[str, Any], where: object) -> Card | None:
    """Parse the card of a checkpoint, None without one; raises BadModel."""
    text = saved.get(CARD)
    if not isinstance(text, str):
        return None
    try:
        return Card.model_validate_json(text)
    except ValidationError as error:
        raise BadModel(f"{where}: unreadable card: {error.errors()[0]['msg']}") from error
