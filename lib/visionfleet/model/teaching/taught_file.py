"""The file of a taught model: the network's weights, and a card in JSON.

It is a state dict like any other; the card has the settings that belong to the weights.
"""

import io

import torch
from torch import nn

from visionfleet.errors import BadModel
from visionfleet.model.features import last_layer
from visionfleet.model.loaded import Loaded
from visionfleet.model.teaching.card import CARD, Card
from visionfleet.model.teaching.head import Head


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
