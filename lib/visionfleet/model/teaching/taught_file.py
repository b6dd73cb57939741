"""The file of a taught model: the network's weights, and a card in JSON.

It is a state dict like any other; the card has the settings that belong to the weights.
"""

import io
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from visionfleet.contract.messages import ModelInfo
from visionfleet.errors import BadModel
from visionfleet.imaging.model_input import Preprocessing
from visionfleet.model.features import last_layer
from visionfleet.model.loaded import Loaded
from visionfleet.model.teaching.head import Head

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


def written(base: Loaded, head: Head, card: Card) -> bytes:
    """Write the network with the new last layer; raises BadModel if its own is unknown."""
    how = base.preprocessing
    name = last_layer(base.module, torch.zeros(2, 3, how.crop, how.crop))
    if base.kind != "module" or base.architecture is None or name is None:
        raise BadModel(f"{base.info.name}: cannot be taught: its last layer is not known")
    last = base.module.get_submodule(name)
    assert isinstance(last, nn.Linear)
    weights = dict(base.module.state_dict())
    weights[f"{name}.weight"] = torch.from_numpy(head.weights)
    weights[f"{name}.bias"] = torch.from_numpy(head.bias)
    buffer = io.BytesIO()
    torch.save({"state_dict": weights, CARD: card.model_dump_json()}, buffer)
    return buffer.getvalue()
