"""Rejects responses that are truncated, or not from AWS."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.parsers import ResponseParserError

if TYPE_CHECKING:
    from botocore.model import OperationModel

_WITHOUT_BODY = {204, 304}


def _has_length(headers: Mapping[str, str]) -> bool:
    """Whether a response says where it ends. Otherwise its headers were truncated, or it ends with
    the connection, as AWS's never do.
    """
    return "Content-Length" in headers or "Transfer-Encoding" in headers


def require_whole(
    operation_model: "OperationModel", response_dict: Mapping[str, Any], **_: Any
) -> None:
    """Check a response before botocore parses it: it would take a truncated one for complete or
    empty.
    """
    status, headers, body = (response_dict[name] for name in ("status_code", "headers", "body"))
    if operation_model.http["method"] == "HEAD":
        return
    if status not in _WITHOUT_BODY and not (_has_length(headers) and _as_long(headers, body)):
        raise ResponseParserError("cut off")
    if operation_model.service_model.service_name != "sqs" or status >= 300:
        return
    if body.strip() or operation_model.output_shape is not None:
        json_object(body)


def _as_long(headers: Mapping[str, str], body: object) -> bool:
    """Whether a body has its declared length; streams check that themselves."""
    if not isinstance(body, bytes) or "Content-Encoding" in headers:
        return True
    return len(body) == int(headers.get("Content-Length", len(body)))


def json_object(body: bytes) -> Mapping[str, Any]:
    """Parse an SQS response. In an HTML page, truncated JSON, or an error with status 200 botocore
    would find no message, queue, tag or fault.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or "__type" in found:
        raise ResponseParserError(f"not of SQS: {body[:100]!r}")
    return found
