"""Rebuilds the last layers of a network from their weights alone."""

from collections.abc import Mapping

from torch import Tensor, nn

from visionfleet.errors import BadModel
from visionfleet.model.state_dict import fit

_ASSUMED = "its head has several layers: ReLU was assumed between them, for weights do not tell"


def head_of(tensors: Mapping[str, Tensor], where: object) -> tuple[nn.Module, str]:
    """A chain of linear layers and norms in the order of their weights, and a note on what was
    assumed; raises BadModel.
    """
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in sorted(tensors.items(), key=lambda item: _in_order(item[0])):
        path, _, leaf = name.rpartition(".")
        groups.setdefault(path, {})[leaf] = value
    layers: list[nn.Module] = []
    named: dict[str, Tensor] = {}
    width, linear = 0, sum(_is_linear(group) for group in groups.values())
    left = linear
    for path, group in groups.items():
        layer = _layer(group)
        if layer is None or (_is_linear(group) and width not in (0, group["weight"].shape[1])):
            raise BadModel(
                f"{where}: its head cannot be made from its weights alone ({path or 'weight'}): "
                "save the model with its network: torch.jit.script(model.eval()).save(FILE)"
            )
        if _is_linear(group):
            left, width = left - 1, group["weight"].shape[0]
        elif left == linear:
            width = next(iter(group.values())).shape[0]
        named |= {f"{len(layers)}.{leaf}": value for leaf, value in group.items()}
        layers.append(layer)
        if left and left < linear and not _norm_follows(list(groups.values()), group):
            layers.append(nn.ReLU())
    module = fit(nn.Sequential(*layers), named, where, "its own head")
    return module, (_ASSUMED if linear > 1 else "")


def _in_order(name: str) -> list[tuple[int, str]]:
    """Sort 2 before 10: safetensors do not keep an order."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in name.split(".")]


def _is_linear(group: Mapping[str, Tensor]) -> bool:
    return "weight" in group and group["weight"].ndim == 2


def _norm_follows(groups: list[dict[str, Tensor]], group: Mapping[str, Tensor]) -> bool:
    place = next(i for i, one in enumerate(groups) if one is group)
    return place + 1 < len(groups) and not _is_linear(groups[place + 1])


def _layer(group: Mapping[str, Tensor]) -> nn.Module | None:
    if not set(group) <= {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}:
        return None
    if _is_linear(group):
        outputs, inputs = group["weight"].shape
        return nn.Linear(inputs, outputs, bias="bias" in group)
    if "running_mean" in group:
        return nn.BatchNorm1d(len(group["running_mean"]), affine="weight" in group)
    if "weight" in group and group["weight"].ndim == 1:
        return nn.LayerNorm(len(group["weight"]), bias="bias" in group)
    return None
