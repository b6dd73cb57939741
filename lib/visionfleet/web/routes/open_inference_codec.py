"""The Open Inference Protocol (KServe v2): encoded images in, classifications and embeddings out.
No I/O here.

With Triton's extensions `classification` (score:index:label) and `binary_tensor_data`.
"""

import struct
from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Annotated, Any

from pydantic import Field, ValidationError

from visionfleet.contract.messages import Succeeded
from visionfleet.contract.model_description import ModelDescription
from visionfleet.contract.values import Value
from visionfleet.contract.vectors import decode_vector
from visionfleet.web.http.json_body import image
from visionfleet.web.problems import Problem
from visionfleet.web.routes.parameters import TOP_MAXIMUM, first_fault

HEADER_LENGTH = "Inference-Header-Content-Length"
EXTENSIONS = ("classification", "binary_tensor_data")
INPUT, OUTPUT, VECTOR = "image", "classification", "embedding"
# Per dimension, so that their product remains a reasonable number.
MAX_SIZE = 1 << 31
_LENGTH = struct.Struct("<I")


# Clients send null for omitted members.
class _TensorParameters(Value):
    shared_memory_region: str | None = None


class _InputParameters(_TensorParameters):
    binary_data_size: Annotated[int, Field(ge=0)] | None = None


class InputTensor(Value):
    """Encoded images, one an element; `data` holds them in base64, unless they follow as bytes."""

    name: str
    shape: Annotated[tuple[Annotated[int, Field(ge=0, le=MAX_SIZE)], ...], Field(max_length=8)]
    datatype: str
    parameters: _InputParameters | None = None
    data: list[Any] | None = None


class _OutputParameters(_TensorParameters):
    classification: Annotated[int, Field(ge=1, le=TOP_MAXIMUM)] | None = None
    binary_data: bool | None = None


class RequestedOutput(Value):
    """The requested form of an output, and the number of classes."""

    name: str | None = None
    parameters: _OutputParameters | None = None


class _RequestParameters(Value):
    binary_data_output: bool | None = None
    timeout: Annotated[int, Field(ge=0)] | None = None


class InferRequest(Value):
    """The JSON of a request; `parameters.timeout` is in microseconds, as in Triton."""

    id: str | None = None
    inputs: Annotated[tuple[InputTensor, ...], Field(min_length=1, max_length=1)]
    outputs: Annotated[tuple[RequestedOutput, ...], Field(max_length=2)] | None = None
    parameters: _RequestParameters | None = None

    @property
    def wanted(self) -> dict[str, _OutputParameters]:
        """The requested outputs by name; classifications by default."""
        outputs = self.outputs or (RequestedOutput(),)
        return {one.name or OUTPUT: one.parameters or _OutputParameters() for one in outputs}

    @property
    def classes(self) -> int:
        return (OUTPUT in self.wanted and self.wanted[OUTPUT].classification) or 1

    @property
    def embed(self) -> bool:
        return VECTOR in self.wanted

    def binary(self, output: str) -> bool:
        of_all = self.parameters is not None and bool(self.parameters.binary_data_output)
        own = self.wanted[output].binary_data
        return of_all if own is None else own

    @property
    def timeout_seconds(self) -> float:
        return ((self.parameters and self.parameters.timeout) or 0) / 1e6


def read(body: Sequence[bytes], maximum: int) -> tuple[InferRequest, list[bytes]]:
    """Parse a request and its images, at most `maximum`; `body` is JsonBody's. Raises Problem."""
    text, *cut, tail = body
    try:
        request = InferRequest.model_validate_json(text)
    except ValidationError as error:
        raise _bad(first_fault(error)) from error
    tensor = request.inputs[0]
    if tensor.datatype != "BYTES":
        raise _bad(f"input '{tensor.name}': expected datatype BYTES, got {tensor.datatype[:20]}")
    for name in request.wanted:
        if name not in {OUTPUT, VECTOR}:
            raise _bad(
                f"unexpected inference output '{name[:80]}', there are '{OUTPUT}' and '{VECTOR}'"
            )
    if len(request.wanted) < len(request.outputs or ()):
        raise _bad("each output can be asked for once")
    places = (tensor.parameters, *request.wanted.values())
    if any(one is not None and one.shared_memory_region for one in places):
        raise _bad("there is no shared memory here: images and results travel in the bodies")
    expected = prod(tensor.shape) if tensor.shape else 0
    if not 1 <= expected <= maximum:
        raise _bad(
            f"input '{tensor.name}': expected 1 to {maximum} images, its shape says {expected}"
        )
    images = _images(tensor, cut, tail, maximum)
    if len(images) != expected:
        raise _bad(f"input '{tensor.name}': {len(images)} images, its shape says {expected}")
    return request, images


def answer(
    request: InferRequest, model: tuple[str, str], results: Sequence[Succeeded]
) -> tuple[dict[str, object], bytes]:
    """The JSON of a response, and the bytes after it; `model` is (name, version)."""
    tensors, tails = [], []
    for name in request.wanted:
        write = _vectors if name == VECTOR else _classifications
        tensor, rows, packed = write(request, results)
        if request.binary(name):
            tensor["parameters"] = {"binary_data_size": len(packed)}
            tails.append(packed)
        else:
            tensor["data"] = rows
        tensors.append({"name": name, **tensor})
    named = {"id": request.id} if request.id else {}
    versioned = {"model_name": model[0], "model_version": model[1], **named}
    return {**versioned, "outputs": tensors}, b"".join(tails)


_Written = tuple[dict[str, object], list[Any], bytes]


def _classifications(request: InferRequest, results: Sequence[Succeeded]) -> _Written:
    count = min(request.classes, *(len(one.top) for one in results))
    rows = [f"{c.score:f}:{c.index}:{c.label}" for one in results for c in one.top[:count]]
    packed = b"".join(_LENGTH.pack(len(row)) + row for row in map(str.encode, rows))
    return {"datatype": "BYTES", "shape": [len(results), count]}, rows, packed


def _vectors(_request: InferRequest, results: Sequence[Succeeded]) -> _Written:
    vectors = [decode_vector(one.vector or "") for one in results]
    size = len(vectors[0])
    if any(len(vector) != size for vector in vectors):
        detail = "two models answered: their vectors differ in length"
        raise Problem("try_later", detail, headers={"Retry-After": "5"})
    values = list(chain.from_iterable(vectors))
    packed = struct.pack(f"<{len(values)}f", *values)
    return {"datatype": "FP32", "shape": [len(results), size]}, values, packed


def metadata(
    model: tuple[str, str | None], described: ModelDescription | None
) -> dict[str, object]:
    """The model's metadata; its version is the fingerprint, once a worker has reported it."""
    name, version = model
    told = {} if described is None else {"parameters": described.model_dump(exclude={"v"})}
    size = described.embedding if described else None
    vectors = [{"name": VECTOR, "datatype": "FP32", "shape": [-1, size]}] if size else []
    return {
        "name": name,
        "versions": [] if version is None else [version],
        "platform": "visionfleet",
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": OUTPUT, "datatype": "BYTES", "shape": [-1, -1]}, *vectors],
        **told,
    }


def header_length(text: str | None) -> int | None:
    """Parse the header; raises Problem."""
    if text is None or (text.isascii() and text.isdigit() and len(text) < 19):
        return None if text is None else int(text)
    raise _bad(f"{HEADER_LENGTH}: expected a number of bytes, got {text[:40]!r}")


def _images(tensor: InputTensor, cut: Sequence[bytes], tail: bytes, maximum: int) -> list[bytes]:
    size = tensor.parameters.binary_data_size if tensor.parameters else None
    if size is not None and tensor.data is None:
        if size != len(tail):
            raise _bad(f"binary_data_size is {size}, {len(tail)} bytes follow the JSON")
        return _elements(tail, maximum)
    if tensor.data is None or tail:
        raise _bad(f"input '{tensor.name}': expected either data or binary_data_size")
    return [_from_base64(entry, cut) for entry in _flat(tensor.data)]


def _elements(tail: bytes, maximum: int) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    while at < len(tail) and len(found) <= maximum:
        start = at + _LENGTH.size
        if start > len(tail):
            raise _bad("the binary tensor ends within an element")
        at = start + _LENGTH.unpack_from(tail, at)[0]
        if at > len(tail):
            raise _bad("the binary tensor ends within an element")
        found.append(tail[start:at])
    return found


def _flat(data: list[Any]) -> list[Any]:
    """Flatten one level of nesting, as in a shape of [n, 1]."""
    return [inner for entry in data for inner in (entry if isinstance(entry, list) else [entry])]


def _from_base64(entry: Any, cut: Sequence[bytes]) -> bytes:
    text = entry.get("b64") if isinstance(entry, dict) else entry
    if not isinstance(text, str):
        raise _bad("data: expected strings in base64")
    try:
        return image(text, cut)
    except ValueError as error:
        raise _bad(f"data: expected strings in base64: {error}") from error


def _bad(detail: str) -> Problem:
    return Problem("bad_parameter", detail)
