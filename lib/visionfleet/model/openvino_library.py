"""The only import of OpenVINO, with telemetry and converter disabled."""

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_CONVERTER = "openvino.tools.ovc"
_TELEMETRY = "openvino_telemetry"


def version() -> str | None:
    """OpenVINO's version, without importing it."""
    try:
        return importlib.metadata.version("openvino")
    except importlib.metadata.PackageNotFoundError:
        return None


def library() -> Any:
    """Import OpenVINO without its converter, which takes as long again and is only for building."""
    with _absent(_CONVERTER, _TELEMETRY):
        return importlib.import_module("openvino")


def converter() -> Any:
    library()
    with _absent(_TELEMETRY):
        return importlib.import_module(_CONVERTER)


def can_quantise() -> bool:
    """Whether NNCF is installed, without importing it."""
    return importlib.util.find_spec("nncf") is not None


def quantiser() -> Any:
    """Import NNCF; raises ImportError if not installed."""
    library()
    with _absent(_TELEMETRY):
        return importlib.import_module("nncf")


@contextmanager
def _absent(*names: str) -> Iterator[None]:
    """Let these imports fail, which OpenVINO and NNCF handle."""
    missing: Any = None
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden, missing))
    try:
        yield
    finally:
        for name in hidden:
            if sys.modules.get(name, missing) is missing:
                sys.modules.pop(name, None)
