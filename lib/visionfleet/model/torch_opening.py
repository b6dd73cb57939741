"""Opens an artefact's network on torch, in its precision."""

import numpy as np
import torch

from visionfleet.model import device
from visionfleet.model.artefact import Artefact
from visionfleet.model.batchnorm_folding import fold
from visionfleet.model.features import split
from visionfleet.model.loading import load_module
from visionfleet.model.torch_network import TorchNetwork


def torch_network(found: Artefact, threads: int) -> TorchNetwork:
    """Raises BadModel, e.g. if the GPU is gone."""
    torch.set_num_threads(threads)
    manifest = found.manifest
    data = bytes(found.file("source"))
    module, kind = load_module(data, found.where, manifest.architecture, len(manifest.labels))
    how = manifest.preprocessing
    network = TorchNetwork(module, how, device.choose())
    if kind == "module":
        two = [np.zeros((how.crop, how.crop, 3), np.uint8)] * 2
        images = network.prepared(two)
        network = network.replaced(split(fold(network.module, images)[0], images))
    if manifest.singly:
        network = network.one_by_one()
    return network.converted(manifest.chosen.precision)
