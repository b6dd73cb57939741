"""A network on OpenVINO: CPU, one precision, from OpenVINO's own files."""

import math
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
    """Runs `lanes` batches concurrently, each on `threads` cores in up to `parts` parts.

    Threads that share a layer spin at its end until all have done their share. Beside the decoding
    of other images, parts on a core each took a tenth less CPU time.
    """

    def __init__(
        self,
        graph: Graph,
        precision: str,
        threads: int,
        lanes: int = 1,
        parts: int | None = None,
    ) -> None:
        self._graph = graph  # keeps the mapped weights alive
        self._parts = parts or threads
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads * lanes,
            "NUM_STREAMS": self._parts * lanes,
            "PERFORMANCE_HINT": "THROUGHPUT",
            # CPU pinning is up to the systemd unit; two workers would pin themselves to the same
            # cores.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            model = read(graph)
            self._compiled: Any = library().Core().compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise RuntimeError(_reason(error)) from error
        images = self._compiled.inputs[0].partial_shape[0]
        self._most_images = images.get_length() if images.is_static else None
        self._requests = threading.local()

    @property
    def features(self) -> int | None:
        outputs = self._compiled.outputs
        return int(outputs[1].partial_shape[1].get_length()) if len(outputs) > 1 else None

    def scores(self, batch: Sequence[Pixels]) -> Floats:
        return self._infer(batch)[0]

    def scores_and_features(self, batch: Sequence[Pixels]) -> tuple[Floats, Floats | None]:
        scores, *features = self._infer(batch)
        return scores, features[0] if features else None

    def _infer(self, batch: Sequence[Pixels]) -> list[Floats]:
        """The rows of each output."""
        requests = self._own_requests()
        size = self._most_images or math.ceil(len(batch) / len(requests))
        parts = [np.stack(batch[start : start + size]) for start in range(0, len(batch), size)]
        found: list[list[Floats]] = []
        try:
            for start in range(0, len(parts), len(requests)):
                found += _concurrently(requests, parts[start : start + len(requests)])
        except RuntimeError as error:
            raise RuntimeError(_reason(error)) from error
        return [np.concatenate(rows, dtype=np.float32) for rows in zip(*found, strict=True)]

    def _own_requests(self) -> list[Any]:
        own: list[Any] | None = getattr(self._requests, "own", None)
        if own is None:
            own = [self._compiled.create_infer_request() for _ in range(self._parts)]
            self._requests.own = own
        return own


def _concurrently(requests: Sequence[Any], parts: Sequence[Pixels]) -> list[list[Floats]]:
    """Copies of the outputs of each part. Waits for all that began, even if one fails: a request in
    use cannot be started again.
    """
    running: list[Any] = []
    failed: RuntimeError | None = None
    for request, part in zip(requests, parts, strict=False):
        try:
            request.start_async([part], share_inputs=True)
        except RuntimeError as error:
            failed = error
            break
        running.append(request)
    for request in running:
        try:
            request.wait()
        except RuntimeError as error:
            failed = error
    if failed:
        raise failed
    return [[np.array(tensor.data) for tensor in request.output_tensors] for request in running]


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
