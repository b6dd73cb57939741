"""Converts a torch network to OpenVINO's files, also in int8. Only used for building."""

import io
import logging
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from torch import nn

from visionfleet.imaging.model_input import Pixels, Preprocessing
from visionfleet.model.network import Floats
from visionfleet.model.onnx_network import OnnxNetwork
from visionfleet.model.openvino_library import converter, library, quantiser
from visionfleet.model.openvino_network import Graph, read

# Operations that compute in bfloat16 on request, rounding their weights.
_MULTIPLYING = {"Convolution", "GroupConvolution", "MatMul"}
_SHAPING = {"Transpose", "Reshape"}


def convert(module: nn.Module, how: Preprocessing, singly: bool) -> Graph:
    """Convert a network, including the normalization of pixels; any exception if impossible."""
    if isinstance(module, OnnxNetwork):
        layout = "NHWC" if module.channels_last else "NCHW"
        network = module.openvino_model(how.crop, singly)
        return _graph(_with_features(_with_normalisation(network, how, layout)))
    shape = (1 if singly else 2, 3, how.crop, how.crop)
    with warnings.catch_warnings(action="ignore"):  # torch warns of TorchScript
        model = converter().convert_model(
            module,
            example_input=torch.zeros(shape),
            input=[library().PartialShape([1 if singly else -1, *shape[1:]])],
        )
    if len(model.outputs) != 1:
        raise RuntimeError(f"the model gives {len(model.outputs)} tensors, not one of scores")
    return _graph(_with_features(_with_normalisation(model, how)))


def quantise(graph: Graph, samples: Sequence[Pixels]) -> Graph:
    """Quantize to int8 using `samples`; ImportError without NNCF."""
    nncf = quantiser()
    logging.getLogger("nncf").setLevel(logging.ERROR)
    dataset = nncf.Dataset([pixels[None] for pixels in samples])
    with redirect_stdout(io.StringIO()):  # it draws progress bars, even into a pipe
        quantised = nncf.quantize(read(graph), dataset, subset_size=len(samples))
    return _graph(quantised)


def in_bfloat16(graph: Graph) -> Graph:
    """Store weights in bfloat16 if used in bfloat16 only: half the bytes, the same answers."""
    model, makes = read(graph), library().opset13
    for node in model.get_ordered_ops():
        if _is_in_float32(node) and _only_multiplies(node.output(0)):
            halved = makes.constant(_rounded(node.data))
            node.output(0).replace(makes.convert(halved, "f32").output(0))
    return _marked(_graph(model))


def _is_in_float32(node: Any) -> bool:
    constant = node.get_type_name() == "Constant"
    return constant and bool(node.get_output_element_type(0) == library().Type.f32)


def _only_multiplies(value: Any) -> bool:
    """Whether all consumers use it as weights that they round to bfloat16 anyway."""
    takers = [(taker.get_node(), taker.get_index()) for taker in value.get_target_inputs()]
    return all(
        (node.get_type_name() in _MULTIPLYING and index == 1)
        or (node.get_type_name() in _SHAPING and index == 0 and _only_multiplies(node.output(0)))
        for node, index in takers
    )


def _marked(graph: Graph) -> Graph:
    """Mark 16-bit weights for OpenVINO to use as is: otherwise it keeps a 32-bit copy in memory.

    The same mark is written by its own compression of weights, which supports only float16.
    """
    layers = ElementTree.fromstring(bytes(graph.structure))  # noqa: S314  just written
    for layer in layers.iterfind("layers/layer[@type='Convert']"):
        if layer.find("input/port[@precision='BF16']") is not None:
            said = ElementTree.Element("rt_info")
            said.append(ElementTree.Element("attribute", name="decompression", version="0"))
            layer.insert(1, said)
    return Graph(ElementTree.tostring(layers), graph.weights)


def _rounded(weights: Floats) -> Any:
    rounded = library().Tensor(library().Type.bf16, list(weights.shape))
    bits = torch.from_numpy(np.array(weights)).bfloat16().view(torch.int16)
    rounded.data.view(np.int16)[...] = bits.numpy()
    return rounded


def _with_normalisation(model: Any, how: Preprocessing, layout: str = "NCHW") -> Any:
    openvino = library()
    steps = openvino.preprocess.PrePostProcessor(model)
    picture = steps.input()
    picture.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    picture.model().set_layout(openvino.Layout(layout))
    mean, scale = ([255 * value for value in values] for values in (how.mean, how.std))
    # Bytes are moved before they are computed with: planes of one channel are quicker to normalise.
    bytes_in_order = picture.preprocess().convert_layout(openvino.Layout(layout))
    bytes_in_order.convert_element_type(openvino.Type.f32).mean(mean).scale(scale)
    steps.output().tensor().set_element_type(openvino.Type.f32)
    return steps.build()


def _with_features(model: Any) -> Any:
    """Add the input of the last layer as an output, if that is a matrix product with constants."""
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
    """Whether it is a constant, or computed from one."""
    while node.get_type_name() in {"Convert", "Transpose", "Reshape", "Multiply"}:
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def _graph(model: Any) -> Graph:
    with tempfile.TemporaryDirectory() as folder:
        structure = Path(folder, "model.xml")
        library().save_model(model, structure, compress_to_fp16=False)
        return Graph(structure.read_bytes(), structure.with_suffix(".bin").read_bytes())
