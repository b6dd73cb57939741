"""A network on OpenVINO: CPU, one precision, from OpenVINO's own files."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from visionfleet.imaging.model_input import Pixels
from visionfleet.model.network import Floats
from visionfleet.model.openvino_library import library

# Operations of an int8 network without int8 support use float32.
_HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}


@dataclass(frozen=True, slots=True)
class Graph:
    """OpenVINO's files of a network: N x H x W x 3 bytes in, N x classes scores out.

    A second output are the features, N x features, if the last layer is known.
    """

    structure: bytes | memoryview
    weights: bytes | memoryview


class OpenVinoNetwork:
    """Runs `lanes` batches concurrently, each with `threads`."""

    def __init__(self, graph: Graph, precision: str, threads: int, lanes: int = 1) -> None:
        self._graph = graph  # keeps the mapped weights alive
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads * lanes,
            "NUM_STREAMS": lanes,
            "PERFORMANCE_HINT": "LATENCY",
            # CPU pinning is up to the systemd unit; two workers would pin themselves to the same
            # cores.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            model = read(graph)
            self._compiled: Any = library().Core().compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise RuntimeError(_reason(error)) from error
        self._requests = threading.local()

    @property
    def features(self) -> int | None:
        outputs = self._compiled.outputs
        return int(outputs[1].partial_shape[1].get_length()) if len(outputs) > 1 else None

    def scores(self, batch: Sequence[Pixels]) -> Floats:
        # A copy, as the request reuses its buffer.
        return np.array(self._infer(batch)[0], np.float32)

    def scores_and_features(self, batch: Sequence[Pixels]) -> tuple[Floats, Floats | None]:
        found = self._infer(batch)
        features = np.array(found[1], np.float32) if len(self._compiled.outputs) > 1 else None
        return np.array(found[0], np.float32), features

    def _infer(self, batch: Sequence[Pixels]) -> Any:
        request = getattr(self._requests, "own", None)
        if request is None:
            request = self._requests.own = self._compiled.create_infer_request()
        try:
            return request.infer([np.stack(batch)], share_inputs=True)
        except RuntimeError as error:
            raise RuntimeError(_reason(error)) from error


def read(graph: Graph) -> Any:
    """OpenVINO's model; it uses the weights in place, so `graph` must outlive it."""
    openvino = library()
    weights = np.frombuffer(graph.weights, np.uint8)
    # OpenVINO copies read-only memory; the mapping is writable, but never written.
    tensor = openvino.Tensor(weights, shared_memory=weights.flags.writeable)
    return openvino.Core().read_model(bytes(graph.structure), tensor)


def _reason(error: Exception) -> str:
    """Strip source file names from OpenVINO's error messages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("Exception from ")]
    return (told or lines or [type(error).__name__])[-1]
