"""Query parameters, headers and JSON bodies of requests. No I/O here."""

import re
from codecs import BOM_UTF8
from collections.abc import Sequence
from typing import Annotated, TypeVar

from pydantic import Field, ValidationError

from visionfleet.contract.values import Value
from visionfleet.imaging.formats import CONTENT_TYPES
from visionfleet.web.http.json_body import image
from visionfleet.web.problems import Problem

TOP_MAXIMUM = 1000
TOP_DEFAULT = 5
_IMAGE_JSON = '{"image": "<base64>"} or {"images": ["<base64>", ...]}'
_Body = TypeVar("_Body", bound=Value)
KEY_PATTERN = "^[!-~]{1,255}$"  # the header Idempotency-Key


class Target(Value):
    """The body of `POST /v1/uploads`; it may be empty."""

    content_type: str | None = None


class EncodedImage(Value):
    """An image in base64, or a data: URL, as an object."""

    b64: str


class Named(Value):
    """The name of the file, for the result."""

    file_name: Annotated[str, Field(max_length=1000)] | None = None


class Label(Value):
    """The body of `PUT /v1/jobs/<job>/label`: what the image shows."""

    label: str


class Images(Named):
    """Images in JSON: each in base64, or as a data: URL."""

    image: str | EncodedImage | None = None
    images: tuple[str | EncodedImage, ...] | None = None


class Start(Images):
    """The JSON body of `POST /v1/jobs`: images, or an upload that is in S3 already."""

    upload: Annotated[str, Field(max_length=100)] | None = None


def read_target(body: bytes) -> str:
    """Parse the announced file type; raises Problem."""
    expected = '{"content_type": "image/jpeg"} or no body'
    found = _read(Target, body or b"{}", expected).content_type or "application/octet-stream"
    known = {*CONTENT_TYPES.values(), "application/octet-stream"}
    if found not in known:
        raise Problem("bad_parameter", f"content_type: expected one of {', '.join(sorted(known))}")
    return found


def read_start(body: bytes) -> Start:
    """Parse a JSON body with images, or with an upload id; raises Problem."""
    return _read(Start, body, f"JSON as {_IMAGE_JSON}")


def read_name(body: bytes) -> Named:
    """Parse an optional JSON body with a file name; raises Problem."""
    return _read(Named, body or b"{}", '{"file_name": "<name>"} or no body')


def read_label(body: bytes) -> str:
    """Read what an image shows; raises Problem."""
    return _read(Label, body, '{"label": "<what it shows>"}').label


def _read(kind: type[_Body], body: bytes, expected: str) -> _Body:
    try:
        return kind.model_validate_json(body.removeprefix(BOM_UTF8))
    except ValidationError as error:
        raise Problem("bad_body", f"expected {expected}; {first_fault(error)}") from error


def first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, fault['loc'])) or 'request'}: {fault['msg']}"


def decoded_images(body: Images, cut: Sequence[bytes], maximum: int) -> list[bytes]:
    """Decode 1 to `maximum` images of a JSON body, those in `cut` excepted. Raises Problem."""
    found = [*([] if body.image is None else [body.image]), *(body.images or ())]
    if not found:
        raise Problem("no_file", f"the JSON has no image; send it as {_IMAGE_JSON}")
    if len(found) > maximum:
        raise Problem("too_many_files", f"more files than {maximum}")
    return [_decoded(one if isinstance(one, str) else one.b64, cut) for one in found]


def _decoded(text: str, cut: Sequence[bytes]) -> bytes:
    if text[:8].lower().startswith(("http://", "https://")):
        raise Problem("bad_body", "image: addresses are not fetched, send the image in base64")
    try:
        return image(text, cut)
    except ValueError as error:
        raise Problem("bad_body", f"image: {error}") from error


def idempotency_key(key: str | None) -> str | None:
    """Validate the header, None without one; raises Problem."""
    if key is not None and not re.fullmatch(KEY_PATTERN, key):
        raise Problem("bad_parameter", "Idempotency-Key: expected 1 to 255 printable characters")
    return key


def wait_seconds(text: str | None, default: float, maximum: float) -> float:
    """Parse `wait`, from 0 to `maximum`; raises Problem."""
    if text is None:
        return default
    try:
        value = float(text) if text.isascii() and "_" not in text else -1.0
    except ValueError:
        value = -1.0
    if not 0 <= value <= maximum:  # false for NaN as well
        expected = f"expected 0 to {maximum:g} seconds"
        raise Problem("bad_parameter", f"wait: {expected}, got {text[:40]!r}")
    return value


def top(text: str | None) -> int:
    """Parse `top`, a whole number from 1 to `TOP_MAXIMUM`; raises Problem."""
    if text is None:
        return TOP_DEFAULT
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= value <= TOP_MAXIMUM:
        raise Problem("bad_parameter", f"top: expected 1 to {TOP_MAXIMUM}, got {text[:40]!r}")
    return value
