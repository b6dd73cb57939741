"""Loads programs of `torch.export.save`, and refuses those that could run Python code.

torch unpickles parts of such files, resolves functions by name and evaluates sizes given as text,
so the archive is checked before torch reads it.
"""

import io
import json
import os
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from visionfleet.errors import BadModel
from visionfleet.model.state_dict import first_line

_TENSORS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_OPERATION = r"(?!__)\w+|__i?(?:and|or|xor|lshift|rshift)__"
_TARGET = re.compile(
    rf"torch\.ops\.(?:aten|prims|torchvision|quantized|quantized_decomposed)\.(?:{_OPERATION})"
    r"\.[A-Za-z]\w*"
    r"|torch\.ops\.higher_order\.[a-z]\w*"
    r"|torch\.sym_[a-z]+|math\.[a-z]\w*"
    r"|_operator\.(?:getitem|add|sub|mul|floordiv|truediv|mod|pow|neg|eq|ne|lt|le|gt|ge|and_|or_)"
)
# FloorDiv(s0, 2), Symbol('s0', integer=True): no attributes, nothing private, no other text.
_SIZE = re.compile(r"(?:'?[a-z]{1,3}\d+'?|[A-Z]\w*|[a-z]+(?==)|\d+(?:\.\d+)?|[\s+\-*/%(),<>=&|~])*")
_TENSOR_FILE = re.compile(r"(?:weight|tensor|constant)_\d+")
_CHECKS = {"target": _TARGET, "expr_str": _SIZE, "path_name": _TENSOR_FILE}


def load_program(data: bytes, where: object) -> Any:
    _examine(data, where)
    # Takes over a second, as it imports torch's compiler.
    from torch import export

    try:
        with warnings.catch_warnings(action="ignore"), _tensors_only():
            return export.load(io.BytesIO(data))
    except Exception as error:  # torch raises many kinds for damaged files
        raise BadModel(f"{where}: cannot be loaded: {first_line(error)}") from error


def _examine(data: bytes, where: object) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if name.endswith(".json"):
                for key, value in _strings(json.loads(archive.read(name))):
                    if key in _CHECKS and not _CHECKS[key].fullmatch(value):
                        raise BadModel(
                            f"{where}: {key} {value[:80]!r} in it is not known to be safe, and "
                            "code from a file is never run"
                        )


def _strings(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, below in value.items():
            yield from _strings(below, str(name))
    elif isinstance(value, list):
        for below in value:
            yield from _strings(below, key)


@contextmanager
def _tensors_only() -> Iterator[None]:
    """Make every `torch.load` refuse code, also those within torch that would allow it."""
    before: Any = os.environ.get(_TENSORS_ONLY)
    os.environ[_TENSORS_ONLY] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_TENSORS_ONLY]
        else:
            os.environ[_TENSORS_ONLY] = before
