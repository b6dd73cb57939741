"""Stores artefacts in local folders and in S3, so that each is made only once."""

import fcntl
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from visionfleet.aws.s3 import Store
from visionfleet.config.classifier import DEFAULT_MODEL, ModelSection
from visionfleet.contract.names import artefact_key
from visionfleet.errors import BadModel, GiveUp, TryLater
from visionfleet.model import artefact, default_model, openvino_library
from visionfleet.model.artefact import Artefact
from visionfleet.model.file_kinds import ARTEFACT_MAGIC
from visionfleet.model.processor import Processor
from visionfleet.model.source import Source, read_labels, write_whole

log = logging.getLogger("classifier")

# The settings that affect an artefact's content; the rest of the section does not.
_DECIDING = (
    "name",
    "sha256",
    "architecture",
    "resize",
    "crop",
    "mean",
    "std",
    "runtime",
    "precision",
)
# Increment when the same settings produce other content; earlier releases keep reading theirs.
_EDITION = 3


def key_of(choice: ModelSection, source: Source, here: Processor) -> str:
    """The name of a model's artefact for a kind of processor; raises BadModel, TryLater for S3.

    Anything that changes the result, such as the version of OpenVINO, changes the name.
    """
    told = {name: getattr(choice, name) for name in _DECIDING}
    told |= {"samples": str(choice.samples), "processor": here.name}
    told |= {
        "format": f"{ARTEFACT_MAGIC.decode()} {_EDITION}",
        "openvino": openvino_library.version(),
    }
    if choice.labels is not None:
        told["labels"] = read_labels(source, choice.labels)
    if choice.path is None and choice.name == DEFAULT_MODEL:
        told["default"] = default_model.SHA256
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class ArtefactStore:
    """Searches `folders` in order, then S3; stores in the first folder and in S3."""

    folders: Sequence[Path]
    bucket: Store | None = None

    def find(self, key: str) -> Artefact | None:
        """Look up an artefact; an unreadable one counts as missing. TryLater if S3 fails."""
        for folder in self.folders:
            try:
                return artefact.open_file(folder / _file(key))
            except FileNotFoundError:
                continue
            except (OSError, BadModel) as error:
                log.warning("artefact unreadable", extra={"reason": str(error)})
        return self._shared(key)

    def keep(self, key: str, data: bytes) -> Artefact:
        try:
            self.share(key, data)
        except (GiveUp, TryLater) as error:
            log.info("artefact not shared", extra={"reason": str(error)})
        return self._kept(key, data)

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """Keep other processes of this machine from making this artefact; best effort."""
        try:
            self.folders[0].mkdir(parents=True, exist_ok=True)
            lock = (self.folders[0] / f"{key}.lock").open("w")
        except OSError:
            yield
            return
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
            Path(lock.name).unlink(missing_ok=True)

    def _shared(self, key: str) -> Artefact | None:
        try:
            data = self.bucket.find(artefact_key(key)) if self.bucket else None
            return None if data is None else self._kept(key, data)
        except (GiveUp, BadModel) as error:
            log.info("artefact not shared", extra={"reason": str(error)})
            return None

    def share(self, key: str, data: bytes) -> None:
        if self.bucket:
            self.bucket.put(artefact_key(key), data)

    def path(self, key: str) -> Path:
        return self.folders[0] / _file(key)

    def _kept(self, key: str, data: bytes) -> Artefact:
        path = self.path(key)
        found = artefact.decode(memoryview(data), artefact_key(key))
        for name in found.manifest.files:
            found.file(name)
        try:
            write_whole(path, data)
            return artefact.open_file(path)
        except OSError as error:
            log.info("artefact not kept", extra={"file": path, "reason": str(error)})
            return artefact.open_bytes(data, artefact_key(key))


def _file(key: str) -> str:
    return f"{key}.artefact"
