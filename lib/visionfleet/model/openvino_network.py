"""A network on OpenVINO: on a processor, in one precision, from OpenVINO's own files."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from visionfleet.imaging.model_input import Pixels
from visionfleet.model.network import Floats
from visionfleet.model.openvino_library import library

# What a network in int8 does not do in int8 it does in float32.
_HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}


@dataclass(frozen=True, slots=True)
class Graph:
    """A network as OpenVINO keeps it: N x H x W x 3 bytes in, N x classes scores out."""

    structure: bytes | memoryview
    weights: bytes | memoryview


class OpenVinoNetwork:
    """`lanes` batches are computed at a time, each by `threads`."""

    def __init__(self, graph: Graph, precision: str, threads: int, lanes: int = 1) -> None:
        self._graph = graph  # its weights are used where they are
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads * lanes,
            "NUM_STREAMS": lanes,
            "PERFORMANCE_HINT": "LATENCY",
            # Which cores a worker has is its unit's matter; two would pin themselves to the same.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            model = read(graph)
            self._compiled: Any = library().Core().compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise RuntimeError(_reason(error)) from error
        self._requests = threading.local()

    def scores(self, batch: Sequence[Pixels]) -> Floats:
        request = getattr(self._requests, "own", None)
        if request is None:
            request = self._requests.own = self._compiled.create_infer_request()
        try:
            found = request.infer([np.stack(batch)], share_inputs=True)
        except RuntimeError as error:
            raise RuntimeError(_reason(error)) from error
        scores: Floats = np.array(found[0], np.float32)  # a copy: the request reuses its own
        return scores


def read(graph: Graph) -> Any:
    """Give OpenVINO's model; it uses the weights where they are, so `graph` has to outlive it."""
    openvino = library()
    weights = np.frombuffer(graph.weights, np.uint8)
    # What cannot be written to, OpenVINO copies; a mapped file can be, and is not.
    tensor = openvino.Tensor(weights, shared_memory=weights.flags.writeable)
    return openvino.Core().read_model(bytes(graph.structure), tensor)


def _reason(error: Exception) -> str:
    """Keep the sentence of OpenVINO's errors, which name their source files first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("Exception from ")]
    return (told or lines or [type(error).__name__])[-1]
