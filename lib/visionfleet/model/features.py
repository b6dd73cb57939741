"""Splits a torch network at its last layer, whose input are the features."""

from functools import partial

from torch import Tensor, nn, no_grad


class Split(nn.Module):
    """A network and its last layer: N,3,H,W -> N,features -> N,classes."""

    def __init__(self, body: nn.Module, last: nn.Linear) -> None:
        super().__init__()
        self.body, self.last = body, last

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.last(self.body(images))
        return scores


def split(module: nn.Module, images: Tensor) -> nn.Module:
    """Split a network in place; unchanged if its last layer cannot be found."""
    name = last_layer(module, images)
    if name is None:
        return module
    last = module.get_submodule(name)
    assert isinstance(last, nn.Linear)
    module.set_submodule(name, nn.Identity())
    return Split(module, last)


def last_layer(module: nn.Module, images: Tensor) -> str | None:
    """The layer that produces the scores, found by a forward pass."""
    given: list[tuple[str, Tensor, int]] = []

    def gave(name: str, _part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        given.append((name, output, inputs[0].ndim))

    hooks = [
        part.register_forward_hook(partial(gave, name))
        for name, part in module.named_modules()
        if name and isinstance(part, nn.Linear)
    ]
    try:
        with no_grad():
            answer = module(images)
    finally:
        for hook in hooks:
            hook.remove()
    names = [name for name, output, dimensions in given if output is answer and dimensions == 2]
    called = [name for name, _, _ in given]
    return names[0] if names and called.count(names[0]) == 1 else None
