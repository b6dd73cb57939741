"""An ONNX file as a network: served by OpenVINO, and checked against ONNX Runtime."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visionfleet.errors import BadModel
from visionfleet.model.openvino_library import library

_LEAST_PROBABILITY = 1e-9
_EXTERNAL = "its weights are in a file of their own, which has to be beside it"

_OPERATIONS = "export it with operations of ONNX's own (quantised with QDQ, not QOperator)"


class OnnxNetwork(nn.Module):
    """Scores of normalized images; external weights are found relative to its path.

    `images` is the fixed batch size; 0 is any.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        model = self._read()
        if len(model.inputs) != 1:
            raise BadModel(f"{path}: takes {len(model.inputs)} tensors, not one of images")
        shape = model.inputs[0].get_partial_shape()
        sides = [0 if side.is_dynamic else side.get_length() for side in shape]
        numbers = model.inputs[0].get_element_type().to_string()
        known = len(sides) == 4 and numbers in {"f32", "f16"} and {0, 3} & {sides[1], sides[3]}
        if not known or len({side for side in sides[1:] if side not in (0, 3)}) > 1:
            raise BadModel(
                f"{path}: takes no images of N x 3 x side x side in floating point, but {shape} "
                f"of {numbers}: let it take those, and export it again"
            )
        self.images = sides[0]
        self.channels_last = sides[3] == 3 and sides[1] != 3
        self.side = sides[2]
        self.metadata: dict[str, str] = {}
        self._shapes = [output.get_partial_shape() for output in model.outputs]
        self._output = self._rows()[0]
        self.probabilities = False
        self._runs = self._session() or self._by_openvino(model)

    def _rows(self) -> list[int]:
        return [i for i, shape in enumerate(self._shapes) if str(shape.rank) == "2"] or [0]

    def prefer(self, classes: int) -> None:
        """Select the first output with this number of scores, if there are others."""
        sizes = {i: str(self._shapes[i][1]) for i in self._rows() if len(self._rows()) > 1}
        self._output = next((i for i, size in sizes.items() if size == str(classes)), self._output)

    def forward(self, images: Tensor) -> Tensor:
        given = images.permute(0, 2, 3, 1) if self.channels_last else images
        try:
            rows = self._runs(np.ascontiguousarray(given.float().numpy()))[self._output]
        except Exception as error:  # runtimes raise exceptions of their own
            raise RuntimeError(str(error).strip().splitlines()[-1]) from error
        scores = torch.from_numpy(np.array(rows, np.float32))
        scores = scores.flatten(1) if max((1, *scores.shape[2:])) == 1 else scores
        return scores.clamp(min=_LEAST_PROBABILITY).log() if self.probabilities else scores

    def openvino_model(self, side: int, singly: bool) -> Any:
        """OpenVINO's conversion, for any batch size or for one."""
        model = self._read()
        images = 1 if singly else -1
        shape = [images, side, side, 3] if self.channels_last else [images, 3, side, side]
        openvino = library()
        model.reshape(openvino.PartialShape(shape))
        operations = importlib.import_module("openvino.opset13")
        scores = model.output(self._output).get_node().input_value(0)
        if str(scores.get_partial_shape().rank) != "2":
            scores = operations.reshape(scores, [0, -1], special_zero=True).output(0)
        if self.probabilities:
            scores = operations.log(operations.clamp(scores, _LEAST_PROBABILITY, 1.0)).output(0)
        return openvino.Model([scores], model.get_parameters(), "network")

    def _read(self) -> Any:
        try:
            return library().Core().read_model(self._path)
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = lines[-1] if lines else "unknown"
            if "external" in str(error).lower():
                reason = _EXTERNAL
            elif "No conversion rule" in reason:
                reason += f"; {_OPERATIONS}"
            raise BadModel(f"{self._path}: OpenVINO cannot read it: {reason}") from error

    def _session(self) -> Any:
        try:
            runtime = importlib.import_module("onnxruntime")
        except ImportError:
            return None
        runtime.set_default_logger_severity(4)
        try:
            session = runtime.InferenceSession(self._path, providers=["CPUExecutionProvider"])
        except Exception:  # it supports fewer operations than OpenVINO, or only older files
            return None
        self.metadata = dict(session.get_modelmeta().custom_metadata_map)
        name = session.get_inputs()[0].name
        half = session.get_inputs()[0].type == "tensor(float16)"
        return lambda images: session.run(
            None, {name: images.astype(np.float16) if half else images}
        )

    @staticmethod
    def _by_openvino(model: Any) -> Any:
        compiled = library().Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return lambda images: [np.array(rows) for rows in compiled([images]).values()]

    def __deepcopy__(self, _memo: object) -> "OnnxNetwork":
        return self  # its weights cannot be converted
