"""Access to timm, transformers and the Hugging Face hub, which are optional."""

import importlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from visionfleet.errors import BadModel

_INSTALL = "pip install 'visionfleet[classifier,import]'"
_HUB_SECONDS = 5.0
# The files needed of a repository; never Python code.
_FILES = ("*.json", "*.safetensors", "pytorch_model*.bin")


def timm_library(required: bool) -> Any:
    return _library("timm", required)


def transformers_library() -> Any:
    # Silences their progress bars and warnings.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    library = _library("transformers", required=True)
    library.utils.logging.disable_progress_bar()
    return library


def _library(name: str, required: bool) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if not required:
            return None
        raise BadModel(f"{name} is not installed, and is needed for this: {_INSTALL}") from error


def from_hub(repository: str) -> Path:
    """Find a hub repository on this machine, or download it; raises BadModel."""
    hub = _library("huggingface_hub", required=True)
    try:
        return Path(hub.snapshot_download(repository, local_files_only=True))
    except Exception:  # many kinds for missing repositories
        _reach(hub.constants.ENDPOINT, repository)
    try:
        return Path(hub.snapshot_download(repository, allow_patterns=_FILES))
    except Exception as error:  # as above, and HTTP errors
        reason = str(error).strip().splitlines()[0]
        raise BadModel(f"{repository}: cannot be downloaded: {reason}") from error


def _reach(endpoint: str, repository: str) -> None:
    """Check in seconds what the hub's client would retry for half a minute; raises BadModel."""
    place = urlsplit(endpoint)
    host, port = place.hostname or "", place.port or (443 if place.scheme == "https" else 80)
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY")):
        return  # left to the client
    try:
        socket.create_connection((host, port), _HUB_SECONDS).close()
    except OSError as error:
        name = repository.rpartition("/")[2]
        raise BadModel(
            f"{repository}: not on this machine, and {host} cannot be reached "
            f"({error.strerror or error}); run `hf download {repository} --local-dir {name}` on a "
            f"machine that can, copy the folder here, and name it: visionfleet model import {name}"
        ) from error


def weights_file(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise BadModel(f"{folder}: holds a configuration and no weights: {' or '.join(names)}")
