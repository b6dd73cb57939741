"""The artefact: a single file with all that a worker needs of its model.

Eight magic bytes, the length of a JSON manifest and its SHA-256, the manifest, and the runtime's
files, aligned to 64 bytes. The file is memory-mapped, so a runtime reads only what it uses; each
file is verified against its SHA-256 in the manifest before use. Nothing is ever unpickled. Later
versions may add fields, which are ignored.
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

_HEAD = struct.Struct("<8sQ32s")
_ALIGNMENT = 64
_LARGEST_MANIFEST = 1 << 26


class FilePlace(BaseModel):
    """A file's position in the artefact: bytes after the manifest, aligned."""

    model_config = ConfigDict(frozen=True)

    offset: int
    size: int
    sha256: str


class Manifest(BaseModel):
    """Metadata of an artefact; `source` is the SHA-256 of what it was made from."""

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
        """16 digits of all that affects answers, except the runtime; part of cache keys."""
        deciding = {"source", "labels", "preprocessing", "temperature", "unknown_below"}
        text = json.dumps(self.model_dump(mode="json", include=deciding), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Artefact:
    manifest: Manifest
    where: str
    _content: memoryview

    def file(self, name: str) -> memoryview:
        """A file's bytes, verified; raises BadModel."""
        place = self.manifest.files.get(name)
        if place is None:
            raise BadModel(f"{self.where}: there is no {name} in it")
        data = self._content[place.offset : place.offset + place.size]
        if hashlib.sha256(data).hexdigest() != place.sha256:
            raise BadModel(f"{self.where}: damaged: the SHA-256 of {name} is another one")
        return data

    def release(self) -> None:
        """Free the mapped pages, as runtimes copy the weights.

        Pages still in use are read again from the page cache; they are never modified.
        """
        if isinstance(mapped := self._content.obj, mmap.mmap):
            mapped.madvise(mmap.MADV_DONTNEED)


def graph_file(chosen: Chosen) -> str:
    """The base name of OpenVINO's files, known to all releases."""
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
    head = _HEAD.pack(ARTEFACT_MAGIC, len(text), hashlib.sha256(text).digest())
    return b"".join((head, text, *content))


def decode(data: memoryview, where: str) -> Artefact:
    """Parse the manifest; raises BadModel for other files, and truncated or damaged ones."""
    if data[: len(ARTEFACT_MAGIC)] != ARTEFACT_MAGIC or len(data) < _HEAD.size:
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


def open_file(path: Path, sha256: str | None = None) -> Artefact:
    """Map an artefact, of the given SHA-256 if any; raises OSError, BadModel."""
    with path.open("rb") as file:
        content = _mapped(file.fileno())
    digest = hashlib.sha256(content).hexdigest() if sha256 else None
    if digest != sha256:
        raise BadModel(f"{path}: its SHA-256 is {digest}, model.sha256 says {sha256}")
    return decode(content, str(path))


def open_bytes(data: bytes, where: str) -> Artefact:
    """Open an artefact in memory as an unlinked file, as runtimes want mapped weights."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return decode(_mapped(file.fileno()), where)


def _mapped(file: int) -> memoryview:
    if not os.fstat(file).st_size:
        return memoryview(b"")
    # Never written to, but OpenVINO refuses read-only memory.
    return memoryview(mmap.mmap(file, 0, access=mmap.ACCESS_COPY))
