"""Recognizes model files by their content, and says what other files are. No I/O here.

File names are ignored: `.pth.tar` is not an archive, and a web page may be called `model.pt`.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Literal

from visionfleet.errors import BadModel

FileKind = Literal["torchscript", "exported", "tensors", "safetensors", "onnx", "artefact"]

ARTEFACT_MAGIC = b"VFLEET02"
ANY_ARTEFACT = b"VFLEET"
# The pickled magic number of legacy `torch.save` files.
_OLD_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_AGAIN = "copy or download it again"
_UNPACK = "unpack it, and name the model's file in it"
_AS_ONNX = "save the model as ONNX and import that: visionfleet model import FILE.onnx"

# Signatures of files mistaken for models: what they are, and what to do.
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "a pointer of Git LFS", "fetch the file: git lfs pull"),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as of Keras", _AS_ONNX),
    (b"\x93NUMPY", "an array of NumPy", "bring a state dict with its architecture"),
    (b"ftrt", "an engine of TensorRT, for one kind of GPU", _AS_ONNX),
    (b"GGUF", "a GGUF file, as of language models", "bring a model that classifies images"),
    (b"\xff\xd8\xff", "a JPEG image", "name the model's file"),
    (b"\x89PNG", "a PNG image", "name the model's file"),
    (b"%PDF", "a PDF document", "name the model's file"),
)
# Top-level fields of ONNX's ModelProto; the graph is unique to it.
_ONNX_FIELDS, _ONNX_GRAPH = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}), 7
_MOST_FIELDS = 100_000
_NO_TEXT = re.compile(rb"[\0-\x08\x0e-\x1a]")


def kind_of(data: bytes | memoryview, where: object) -> FileKind:
    """The kind of a model file; raises BadModel for others, with what to do."""
    head = bytes(data[:1024])
    if head.startswith(ANY_ARTEFACT):
        return "artefact"
    if head.startswith(_OLD_MAGIC):
        return "tensors"
    if head.startswith(_ZIP):
        return _kind_of_zip(bytes(data), where)
    if _is_safetensors(data, where):
        return "safetensors"
    if (end := _end_of_onnx(data)) is not None:
        if end > len(data):
            raise BadModel(f"{where}: an ONNX file that is cut short: {_AGAIN}")
        return "onnx"
    raise BadModel(f"{where}: {_told(head)}")


def _told(head: bytes) -> str:
    if not head.strip(b"\0"):
        what = "is empty" if not head else "holds nothing but zeros"
        return f"{what}: {_AGAIN}"
    for sign, name, remedy in _OTHERS:
        if head.startswith(sign):
            return f"is {name}, not a model: {remedy}"
    if head[257:262] == b"ustar":
        return f"is a tar archive, not a model: {_UNPACK}"
    if head[4:8] == b"TFL3":
        return f"is a model of TensorFlow Lite: {_AS_ONNX}"
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return (
            "is a Python pickle, and code from a file is never run; "
            "save the weights alone: torch.save(model.state_dict(), FILE)"
        )
    if text := _text(head):
        return text
    return (
        "is no model of a kind that is known: state dict, safetensors, TorchScript, exported "
        "program, ONNX; of another program (TensorFlow, Core ML) save it as ONNX"
    )


def _text(head: bytes) -> str:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<head")):
        return "is a web page, not a model: download the file itself, signed in where that is asked"
    if start.startswith(b"<?xml") or (start.startswith(b"<") and b">" in start):
        if b"<net" in start:
            return f"is the structure of an OpenVINO model alone: {_AS_ONNX}"
        return f"is an XML document, as of an error, not a model: {_AGAIN}"
    if start.startswith((b"{", b"[")):
        return "is JSON, not a model: name the file with the weights, or the folder with both"
    try:
        head[:-3].decode()
    except UnicodeDecodeError:
        return ""
    if _NO_TEXT.search(head):
        return ""
    first = head.decode(errors="replace").strip().splitlines()[0][:60]
    return f"is text, not a model ({first!r}): {_AGAIN}"


def _kind_of_zip(data: bytes, where: object) -> FileKind:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            whole = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BadModel(f"{where}: cut short or damaged: {_AGAIN}") from error
    names = {name.partition("/")[2] for name in whole} | {n for n in whole if "/" not in n}
    if any(name.startswith("data/aotinductor/") for name in names):
        raise BadModel(
            f"{where}: holds machine code compiled for one processor; "
            "save the exported program itself: torch.export.save(program, FILE)"
        )
    if names & {"archive_format", "serialized_exported_program.json"}:
        return "exported"
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return "torchscript"
    if "data.pkl" in names:
        return "tensors"
    if "model.weights.h5" in names:
        raise BadModel(f"{where}: is a model of Keras: {_AS_ONNX}")
    if whole and all(name.endswith(".npy") for name in whole):
        raise BadModel(
            f"{where}: holds arrays of NumPy: save them as safetensors, by the names of the "
            "network's parts: safetensors.numpy.save_file(dict(numpy.load(FILE)), NAME)"
        )
    held = ", ".join(sorted(whole)[:3])
    raise BadModel(f"{where}: is a ZIP archive ({held or 'empty'}), not a model: {_UNPACK}")


def _is_safetensors(data: bytes | memoryview, where: object) -> bool:
    """Eight bytes with the length of a JSON object, the object, and the tensors."""
    if bytes(data[8:9]) != b"{":
        return False
    length = int.from_bytes(data[:8], "little")
    if length > 100_000_000:  # the format's own limit
        return False
    try:
        tensors = json.loads(bytes(data[8 : 8 + length]))
        tensors.pop("__metadata__", None)
        end = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        if 8 + length <= len(data):
            return False
        raise BadModel(f"{where}: a safetensors file that is cut short: {_AGAIN}") from error
    if len(data) < end:
        raise BadModel(
            f"{where}: a safetensors file that is cut short, {len(data):,} of {end:,} bytes: "
            f"{_AGAIN}"
        )
    return True


def _end_of_onnx(data: bytes | memoryview) -> int | None:
    """Where an ONNX file should end; None for other files."""
    if bytes(data[:1]) != b"\x08" or len(data) < 4 or data[1] > 31:
        return None  # the first field is the format's version
    fields = list(_fields(data))
    if any(field not in _ONNX_FIELDS or wire not in (0, 2) for field, wire, _ in fields):
        return None
    return fields[-1][2] if any(field == _ONNX_GRAPH for field, _, _ in fields) else None


def _fields(data: bytes | memoryview) -> Iterator[tuple[int, int, int]]:
    """Number, wire type and end of a protobuf message's fields; the last may exceed the data."""
    place = 0
    for _ in range(_MOST_FIELDS):
        if place >= len(data):
            return
        tag, place = _number(data, place)
        value, place = _number(data, place)
        place += value if tag & 7 == 2 else 0
        yield tag >> 3, tag & 7, place


def _number(data: bytes | memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    for byte in bytes(data[place : place + 10]):
        value |= (byte & 0x7F) << shift
        shift, place = shift + 7, place + 1
        if byte < 0x80:
            break
    return value, place
