"""Metadata of handlers for the API description. No I/O here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

# Groups of error codes: of any body, of image bodies, and of workers.
BODY = ("bad_body", "too_large", "too_slow", "unknown_encoding", "overloaded")
# Refusals of a file by its header.
FOUND = ("empty", "not_an_image", "too_many_pixels", "cannot_be_decoded")
_UPLOAD = (*BODY, "no_file", "empty", "too_many_files", "not_an_image")
_CONTENT = (
    *("too_many_pixels", "cannot_be_decoded", "expired", "gave_up", "image_missing"),
    "image_refused",
)
ACCESS = ("no_key", "wrong_key", "rate_limited")
OPEN = ("bad_parameter", "internal", "try_later")
ANY = (*OPEN, *ACCESS)
IMAGES = (*_UPLOAD, *_CONTENT, *ANY)


@dataclass(frozen=True, slots=True)
class Operation:
    """Decorates a handler method; `answers` maps statuses to schema names or media types."""

    summary: str
    answers: Mapping[int, str]
    problems: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    body: str | None = None
    protocol: bool = False  # errors as in the Open Inference Protocol

    def __call__(self, method: _F) -> _F:
        method.__dict__["operation"] = self
        return method


def operations(handler: type) -> dict[str, Operation]:
    methods = ((name, getattr(handler, name)) for name in ("get", "post", "put", "delete"))
    return {name: one.operation for name, one in methods if hasattr(one, "operation")}
