"""The artefact: all that a worker needs of its model, in one file that was made once.

Eight bytes that name the format, the length of a JSON manifest and its SHA-256, the manifest, and
the runtime's files, each at a multiple of 64 bytes. A file is mapped into memory, so a runtime
reads only what it uses; whatever is used is first compared with its SHA-256 in the manifest.
Nothing in it is ever unpickled. A later version may add fields, which are ignored here.
"""

import hashlib
import json
import mmap
import os
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from visionfleet.contract.messages import ModelInfo
from visionfleet.errors import BadModel
from visionfleet.imaging.model_input import Preprocessing
from visionfleet.model.choice import Chosen
from visionfleet.model.file_kinds import ARTEFACT_MAGIC

MAGIC = ARTEFACT_MAGIC
_HEAD = struct.Struct("<8sQ32s")
_ALIGNMENT = 64
_LARGEST_MANIFEST = 1 << 26


class FilePlace(BaseModel):
    """Where in the artefact a file is: bytes after the manifest, aligned."""

    model_config = ConfigDict(frozen=True)

    offset: int
    size: int
    sha256: str


class Manifest(BaseModel):
    """What an artefact says of itself; `source` is the SHA-256 of what it was made from."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    made_by: str
    processor: str
    source: str
    info: ModelInfo
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    temperature: float = 1.0
    unknown_below: float = 0.0
    architecture: str | None = None
    singly: bool = False
    chosen: Chosen
    files: dict[str, FilePlace] = {}

    def fingerprint(self) -> str:
        """Give 16 digits for what decides an answer, but the runtime; kept answers hang on it."""
        deciding = {"source", "labels", "preprocessing", "temperature", "unknown_below"}
        text = json.dumps(self.model_dump(mode="json", include=deciding), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Artefact:
    manifest: Manifest
    where: str
    _content: memoryview

    def file(self, name: str) -> memoryview:
        """Give a file's bytes, checked; raises BadModel."""
        place = self.manifest.files.get(name)
        if place is None:
            raise BadModel(f"{self.where}: there is no {name} in it")
        data = self._content[place.offset : place.offset + place.size]
        if hashlib.sha256(data).hexdigest() != place.sha256:
            raise BadModel(f"{self.where}: damaged: the SHA-256 of {name} is another one")
        return data

    def release(self) -> None:
        """Give the memory of its pages back: runtimes keep weights in a form of their own.

        What is used in place is read again, from the page cache. Nobody has written to it.
        """
        if isinstance(mapped := self._content.obj, mmap.mmap):
            mapped.madvise(mmap.MADV_DONTNEED)


def graph_file(chosen: Chosen) -> str:
    """Name OpenVINO's files, but for their suffixes: those are the names that all releases know."""
    return "int8" if chosen.precision == "int8" else "model"


def encode(manifest: Manifest, files: Mapping[str, bytes]) -> bytes:
    places, content, offset = {}, [], 0
    for name, data in files.items():
        digest = hashlib.sha256(data).hexdigest()
        places[name] = FilePlace(offset=offset, size=len(data), sha256=digest)
        padding = -len(data) % _ALIGNMENT
        content += [data, bytes(padding)]
        offset += len(data) + padding
    text = manifest.model_copy(update={"files": places}).model_dump_json().encode()
    text += b" " * (-(len(text) + _HEAD.size) % _ALIGNMENT)
    head = _HEAD.pack(MAGIC, len(text), hashlib.sha256(text).digest())
    return b"".join((head, text, *content))


def decode(data: memoryview, where: str) -> Artefact:
    """Read the manifest; raises BadModel for what is no artefact, cut short or damaged."""
    if not is_artefact(data) or len(data) < _HEAD.size:
        raise BadModel(f"{where}: no artefact of this version of visionfleet: make it again")
    _, length, digest = _HEAD.unpack(data[: _HEAD.size])
    start = _HEAD.size + length
    text = bytes(data[_HEAD.size : start]) if length <= _LARGEST_MANIFEST else b""
    if len(text) != length or hashlib.sha256(text).digest() != digest:
        raise BadModel(f"{where}: damaged: its manifest is not what was written")
    try:
        return Artefact(Manifest.model_validate_json(text), where, data[start:])
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise BadModel(f"{where}: unreadable manifest: {place}: {fault['msg']}") from error


def is_artefact(data: bytes | memoryview) -> bool:
    return data[: len(MAGIC)] == MAGIC


def open_file(path: Path, sha256: str | None = None) -> Artefact:
    """Map an artefact into memory, of this SHA-256 if one is given; raises OSError, BadModel."""
    with path.open("rb") as file:
        content = _mapped(file.fileno())
    digest = hashlib.sha256(content).hexdigest() if sha256 else None
    if digest != sha256:
        raise BadModel(f"{path}: its SHA-256 is {digest}, model.sha256 says {sha256}")
    return decode(content, str(path))


def open_bytes(data: bytes, where: str) -> Artefact:
    """Open what has no file to stay in, by a nameless one: a runtime wants its weights mapped."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return decode(_mapped(file.fileno()), where)


def _mapped(file: int) -> memoryview:
    if not os.fstat(file).st_size:
        return memoryview(b"")
    # Written to by nobody, but OpenVINO takes no memory that could not be.
    return memoryview(mmap.mmap(file, 0, access=mmap.ACCESS_COPY))
