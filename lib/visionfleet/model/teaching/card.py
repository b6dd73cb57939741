"""The card in a taught model's file: what spares the settings that its weights need."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from visionfleet.contract.messages import ModelInfo
from visionfleet.errors import BadModel
from visionfleet.imaging.model_input import Preprocessing

CARD = "visionfleet"


class Card(BaseModel):
    """What a taught model is; `base` is the network that it was taught on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    labels: tuple[str, ...]
    architecture: str
    preprocessing: Preprocessing
    temperature: float
    unknown_below: float
    base: ModelInfo
    made_by: str


def card_of(saved: Mapping[str, Any], where: object) -> Card | None:
    """Read the card of what was saved, None without one; raises BadModel."""
    text = saved.get(CARD)
    if not isinstance(text, str):
        return None
    try:
        return Card.model_validate_json(text)
    except ValidationError as error:
        raise BadModel(f"{where}: unreadable card: {error.errors()[0]['msg']}") from error
