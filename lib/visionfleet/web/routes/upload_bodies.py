"""The bodies of requests about files that clients put into S3 themselves. No I/O here."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from visionfleet.imaging.formats import CONTENT_TYPES
from visionfleet.web.problems import Problem


class Target(BaseModel):
    """The body of `POST /v1/uploads`; it may be empty."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    content_type: str = "application/octet-stream"


class Start(BaseModel):
    """The JSON body of `POST /v1/jobs`: an upload that is in S3 already."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    upload: Annotated[str, Field(max_length=100)] = ""
    file_name: Annotated[str, Field(max_length=1000)] = ""


def read_target(body: bytes) -> Target:
    """Read the wish for a target; raises Problem."""
    try:
        target = Target.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise Problem("bad_body", 'expected {"content_type": "image/jpeg"} or no body') from error
    known = {*CONTENT_TYPES.values(), "application/octet-stream"}
    if target.content_type not in known:
        expected = ", ".join(sorted(known))
        raise Problem("bad_parameter", f"content_type: expected one of {expected}")
    return target


def read_start(body: bytes) -> Start:
    """Read which upload is meant; raises Problem."""
    try:
        start = Start.model_validate_json(body)
    except ValidationError as error:
        raise Problem("bad_body", 'expected {"upload": "<id>", "file_name": "<name>"}') from error
    if not start.upload:
        raise Problem("no_file", "the JSON names no upload")
    return start
