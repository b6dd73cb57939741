"""What a handler says of itself for the description of the API. No I/O here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

# Codes of problems, in groups: of any body, of one with images, and what a worker may say of them.
BODY = ("bad_body", "too_large", "too_slow", "unknown_encoding", "overloaded")
# What a file is refused for that is looked at before it is accepted.
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
    """Decorates a handler's method; `answers` maps statuses to names of schemas or media types."""

    summary: str
    answers: Mapping[int, str]
    problems: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    body: str | None = None
    protocol: bool = False  # errors in the form of the Open Inference Protocol

    def __call__(self, method: _F) -> _F:
        method.__dict__["operation"] = self
        return method


def operations(handler: type) -> dict[str, Operation]:
    methods = ((name, getattr(handler, name)) for name in ("get", "post", "put", "delete"))
    return {name: one.operation for name, one in methods if hasattr(one, "operation")}
