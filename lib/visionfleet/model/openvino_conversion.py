"""Makes OpenVINO's files of a network in torch, and the same in int8. For building only."""

import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from visionfleet.imaging.model_input import Pixels, Preprocessing
from visionfleet.model.onnx_network import OnnxNetwork
from visionfleet.model.openvino_library import converter, library, quantiser
from visionfleet.model.openvino_network import Graph, read


def convert(module: nn.Module, how: Preprocessing, singly: bool) -> Graph:
    """Convert a network, with the normalisation of its pixels; any exception when it cannot be."""
    if isinstance(module, OnnxNetwork):
        layout = "NHWC" if module.channels_last else "NCHW"
        network = module.openvino_model(how.crop, singly)
        return _graph(_with_features(_with_normalisation(network, how, layout)))
    shape = (1 if singly else 2, 3, how.crop, how.crop)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch advises newer formats
        model = converter().convert_model(
            module,
            example_input=torch.zeros(shape),
            input=[library().PartialShape([1 if singly else -1, *shape[1:]])],
        )
    if len(model.outputs) != 1:
        raise RuntimeError(f"the model gives {len(model.outputs)} tensors, not one of scores")
    return _graph(_with_features(_with_normalisation(model, how)))


def quantise(graph: Graph, samples: Sequence[Pixels]) -> Graph:
    """Quantise to int8 by what `samples` make of the network; ImportError without NNCF."""
    nncf = quantiser()
    logging.getLogger("nncf").setLevel(logging.ERROR)
    dataset = nncf.Dataset([pixels[None] for pixels in samples])
    quantised = nncf.quantize(read(graph), dataset, subset_size=len(samples))
    return _graph(quantised)


def _with_normalisation(model: Any, how: Preprocessing, layout: str = "NCHW") -> Any:
    openvino = library()
    steps = openvino.preprocess.PrePostProcessor(model)
    picture = steps.input()
    picture.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    picture.model().set_layout(openvino.Layout(layout))
    mean, scale = ([255 * value for value in values] for values in (how.mean, how.std))
    picture.preprocess().convert_element_type(openvino.Type.f32).mean(mean).scale(scale)
    steps.output().tensor().set_element_type(openvino.Type.f32)
    return steps.build()


def _with_features(model: Any) -> Any:
    """Give what goes into the last layer out, too, where that is a matrix by known weights."""
    node = model.output(0).get_node().input_value(0).get_node()
    while node.get_type_name() in {"Add", "Convert"}:
        inputs = [each.get_source_output().get_node() for each in node.inputs()]
        node = next((each for each in inputs if not _is_known(each)), inputs[0])
    if node.get_type_name() != "MatMul" or not _is_known(node.input_value(1).get_node()):
        return model
    features = node.input_value(0)
    shape = features.get_partial_shape()
    if shape.rank.is_static and len(shape) == 2 and shape[1].is_static:
        model.add_outputs([features])
    return model


def _is_known(node: Any) -> bool:
    """Tell whether a node is a constant, or made of one."""
    while node.get_type_name() in {"Convert", "Transpose", "Reshape", "Multiply"}:
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def _graph(model: Any) -> Graph:
    with tempfile.TemporaryDirectory() as folder:
        structure = Path(folder, "model.xml")
        library().save_model(model, structure, compress_to_fp16=False)
        return Graph(structure.read_bytes(), structure.with_suffix(".bin").read_bytes())
