"""A second look at the images that a model is not sure of: it is shown their mirror images."""

from collections.abc import Callable

import torch
from torch import Tensor


def twice_if_unsure(
    score: Callable[[Tensor], Tensor], images: Tensor, temperature: float, below: float
) -> Tensor:
    """Score N,3,H,W images: N,classes logits in float32.

    Where the highest probability, 0 to 1 after a division by `temperature`, is less than `below`
    they are the mean over the image and its mirror image; `score` gives those of any number of
    images, and what it raises is passed on. What else is in the batch does not count.
    """
    scores = score(images).float()
    if not below:
        return scores
    unsure = (scores / temperature).softmax(dim=1).amax(dim=1) < below
    if not unsure.any():
        return scores
    mirrored = images[unsure].flip(3).contiguous(memory_format=torch.channels_last)
    return scores.index_put((unsure,), (scores[unsure] + score(mirrored).float()) / 2)
