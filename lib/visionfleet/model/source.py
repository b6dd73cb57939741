"""Reads a model's files from disk or S3, and verifies them."""

import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visionfleet.errors import BadModel, Denied, GiveUp

# A blank alone does not part them: `0 stars`, `1 star` may be names.
_NUMBERED = re.compile(r"(\d{1,6})\s*[,:;\t]\s*(\S.*)")

log = logging.getLogger("classifier")

SCHEME = "s3://"
DEFAULT_CACHE = Path("/var/cache/visionfleet")

Fetch = Callable[[str, str], bytes]


def cache_folder(environment: Mapping[str, str]) -> Path:
    """The cache folder: systemd's, the machine's, or the user's."""
    given = environment.get("CACHE_DIRECTORY", "").split(":")[0]
    if given or os.access(DEFAULT_CACHE, os.W_OK) or os.geteuid() == 0:
        return Path(given or DEFAULT_CACHE) / "models"
    home = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "/")) / ".cache"
    return Path(home) / "visionfleet/models"


@dataclass(frozen=True, slots=True)
class Source:
    """Reads paths, and `s3://bucket/key` by `fetch`; caches objects of known SHA-256 in `cache`."""

    fetch: Fetch | None = None
    cache: Path | None = None

    def read(self, location: str, setting: str) -> bytes:
        """Read a whole file; raises BadModel naming the setting, TryLater or Denied for S3."""
        try:
            if location.startswith(SCHEME):
                return self._fetch(location)
            return Path(location).read_bytes()
        except OSError as error:
            raise BadModel(f"{location}: cannot be read: {error.strerror} ({setting})") from error
        except Denied:  # the IAM role may still be propagating
            raise
        except GiveUp as error:
            raise BadModel(f"{location}: cannot be read: {error} ({setting})") from error

    def read_checked(self, location: str, setting: str, sha256: str) -> bytes:
        """Read a file of a given SHA-256; the bytes returned are those hashed."""
        cache = self.cache if location.startswith(SCHEME) else None
        if cache and (kept := _recall(cache, sha256)) is not None:
            return kept
        data = self.read(location, setting)
        digest = hashlib.sha256(data).hexdigest()
        if digest != sha256:
            raise BadModel(f"{location}: its SHA-256 is {digest}, model.sha256 says {sha256}")
        if cache:
            _keep(cache, data, sha256)
        return data

    def _fetch(self, location: str) -> bytes:
        bucket, _, key = location.removeprefix(SCHEME).partition("/")
        if self.fetch is None or not (bucket and key):
            raise BadModel(f"{location}: expected s3://bucket/key")
        return self.fetch(bucket, key)


def _recall(cache: Path, sha256: str) -> bytes | None:
    """Read from the cache; a damaged file counts as missing and is overwritten later."""
    try:
        data = (cache / sha256).read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == sha256 else None


def _keep(cache: Path, data: bytes, sha256: str) -> None:
    try:
        write_whole(cache / sha256, data)
    except OSError as error:
        log.info("model not cached", extra={"folder": cache, "reason": str(error)})


def write_whole(path: Path, data: bytes) -> None:
    """Write atomically, as other workers read concurrently. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(data)
            file.flush()
            Path(file.name).replace(path)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise


def write_for_daemons(path: Path, data: bytes) -> None:
    """Write a file for daemons, whose user may be another; raises BadModel."""
    try:
        write_whole(path, data)
        path.chmod(0o644)
    except OSError as error:
        raise BadModel(f"{path}: cannot be written: {error.strerror}") from error


def read_labels(source: Source, location: str) -> tuple[str, ...]:
    """Read labels: JSON if the name ends in .json, else one per line."""
    data = source.read(location, "model.labels")
    try:
        text = data.decode("utf-8-sig")
        found = json.loads(text) if location.endswith(".json") else text.splitlines()
    except ValueError as error:
        raise BadModel(f"{location}: not labels: {error} (model.labels)") from error
    if isinstance(found, dict):
        found = _by_index(found, location)
    if not isinstance(found, list) or any(isinstance(label, dict | list) for label in found):
        raise BadModel(f"{location}: expected a list of labels, or labels by index (model.labels)")
    labels = _without_numbers([str(label).strip() for label in found])
    labels = labels if location.endswith(".json") else tuple(filter(None, labels))
    if not labels:
        raise BadModel(f"{location}: no labels in it (model.labels)")
    return labels


def _without_numbers(labels: list[str]) -> tuple[str, ...]:
    """Take off the index before each, as in `0,tench` or `0: tench`, where each has its own."""
    numbered = [_NUMBERED.fullmatch(label) for label in labels if label]
    if all(found and int(found[1]) == index for index, found in enumerate(numbered)):
        return tuple(found[2] for found in numbered if found)
    return tuple(labels)


def _by_index(found: dict[str, object], location: str) -> list[object]:
    """Sort {"0": "tench", "1": ...}, with or without ImageNet's class id."""
    try:
        values = sorted_by_index(found)
    except KeyError as error:
        raise BadModel(f"{location}: no label for index {error.args[0]} (model.labels)") from error
    return [value[-1] if isinstance(value, list) and value else value for value in values]


def sorted_by_index(named: Mapping[Any, Any]) -> list[Any]:
    """Sort names by their index, or indices by name, as datasets of folders tell it.

    Raises KeyError for an index without a name.
    """
    if all(isinstance(value, int) for value in named.values()):
        named = {index: name for name, index in named.items()}
    by_index = {str(index): name for index, name in named.items()}
    return [by_index[str(index)] for index in range(len(by_index))]
