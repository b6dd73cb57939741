"""Builds the OpenAPI 3.1 description from the handlers. No I/O here."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

from pydantic import create_model
from pydantic.json_schema import models_json_schema

from visionfleet import __version__
from visionfleet.contract.corrections import Correction
from visionfleet.contract.job_ids import PATTERN
from visionfleet.contract.messages import Failed, FleetStatus, Succeeded, WorkerReport
from visionfleet.contract.model_description import ModelDescription
from visionfleet.web.problems import PROBLEM_TYPE, STATUSES
from visionfleet.web.routes.open_inference_codec import HEADER_LENGTH, InferRequest
from visionfleet.web.routes.operation import Operation
from visionfleet.web.routes.parameters import (
    KEY_PATTERN,
    TOP_DEFAULT,
    TOP_MAXIMUM,
    Label,
    Named,
    Target,
)

Schema = dict[str, Any]
# Paths, and their operations by method.
Described = tuple[str, Mapping[str, Operation]]
_REF = "#/components/schemas/{model}"

# Responses without a model class.
_STATUS: Any = Literal["queued"]
_QUEUED = create_model(
    "Queued",
    __doc__="A job that is accepted and has no result yet; `reason` says why no worker works.",
    job=(str, ...),
    status=(_STATUS, ...),
    location=(str, ...),
    reason=(str, ""),
)
_PROBLEM = create_model(
    "Problem",
    __doc__="An error after RFC 9457; programs look at `code`, people at `detail`.",
    type=(str, ...),
    title=(str, ...),
    status=(int, ...),
    detail=(str, ...),
    code=(str, ...),
    job=(str | None, None),
    request_id=(str | None, None),
)
_PROTOCOL_ERROR = create_model(
    "ProtocolError", __doc__="An error of the Open Inference Protocol.", error=(str, ...)
)
_UPLOAD_TARGET = create_model(
    "UploadTarget",
    __doc__="Where and with which form fields to post one file to S3.",
    upload=(str, ...),
    url=(str, ...),
    fields=(dict[str, str], ...),
    max_bytes=(int, ...),
    expires_at=(float, ...),
)
_SUCCEEDED = create_model(
    "Succeeded",
    __base__=Succeeded,
    __doc__="A result. `corrected` is the label that a person gave the job since, if one has.",
    corrected=(str, ""),
)
_EMBEDDED = create_model(
    "Embedded",
    __base__=_SUCCEEDED,
    __doc__="A result with the vector of which the model makes its scores, and its length.",
    embedding=(tuple[float, ...], ...),
    size=(int, ...),
    norm=(float, ...),
)
_FLEET = create_model(
    "Fleet",
    __base__=FleetStatus,
    __doc__="What the scaler saw, decided and did, and what the workers say of themselves. All "
    "times are by AWS's clock; `now` is that of this answer.",
    workers=(tuple[WorkerReport, ...], ...),
    now=(float, ...),
)
_MODELS = (
    Correction,
    _SUCCEEDED,
    _EMBEDDED,
    Failed,
    ModelDescription,
    _QUEUED,
    _PROBLEM,
    _PROTOCOL_ERROR,
    _UPLOAD_TARGET,
    _FLEET,
)
_BODIES = (InferRequest, Label, Named, Target)
_KEYS: Mapping[str, Schema] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def describe(routes: Sequence[Described], max_wait_seconds: float, public_path: str = "") -> Schema:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "visionfleet",
            "version": __version__,
            "description": "Image recognition over HTTP, by workers that follow the queue.",
        },
        "servers": [{"url": public_path or "/"}],
        "paths": {
            path: {"parameters": _path_parameters(path)}
            | {method: _operation(f"{method} {path}", one) for method, one in operations.items()}
            for path, operations in routes
        },
        "components": {
            "schemas": _schemas(),
            "parameters": _parameters(max_wait_seconds),
            "securitySchemes": _KEYS,
        },
    }


def _operation(name: str, operation: Operation) -> Schema:
    made: Schema = {
        "operationId": "_".join(name.replace("{", "").replace("}", "").replace("/", " ").split()),
        "summary": operation.summary,
        "responses": {
            **{str(status): _answer(status, of) for status, of in operation.answers.items()},
            **_problems(operation),
        },
    }
    if "no_key" in operation.problems:
        # The last alternative: no key required.
        made["security"] = [*({name: []} for name in _KEYS), {}]
    if operation.parameters:
        made["parameters"] = [
            {"$ref": f"#/components/parameters/{one}"} for one in operation.parameters
        ]
    if operation.body is not None:
        made["requestBody"] = _BODY[operation.body]
    return made


def _answer(status: int, of: str) -> Schema:
    content = _CONTENTS.get(of) or _json(_ref(of))
    return {"description": HTTPStatus(status).phrase, "content": content}


def _problems(operation: Operation) -> Schema:
    by_status: dict[int, list[str]] = {}
    for code in operation.problems:
        by_status.setdefault(STATUSES[code], []).append(code)
    content = {PROBLEM_TYPE: {"schema": _ref("Problem")}}
    if operation.protocol:
        content = _json(_ref("ProtocolError"))
    return {
        str(status): {"description": ", ".join(codes), "content": content}
        for status, codes in sorted(by_status.items())
        if status not in operation.answers
    }


def _ref(name: str) -> Schema:
    return {"$ref": _REF.format(model=name)}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _one_of(names: Iterable[str]) -> Schema:
    return {"anyOf": [_ref(name) for name in names]}


def _list_of(member: str, names: Iterable[str]) -> Schema:
    entries = {"type": "array", "items": _one_of(names)}
    return {"type": "object", "required": [member], "properties": {member: entries}}


_ENTRIES = ("Succeeded", "Queued", "Problem")
_VECTORS = ("Embedded", "Queued", "Problem")
_READINESS = {
    "type": "object",
    "required": ["ready", "reasons"],
    "properties": {
        "ready": {"type": "boolean"},
        "reasons": {"type": "array", "items": {"type": "string"}},
    },
}
# Binary data in 3.1, plus the keyword of 3.0 that client generators know.
_BYTES: Schema = {
    "type": "string",
    "format": "binary",
    "contentMediaType": "application/octet-stream",
}
_FORM = {"type": "object", "properties": {"file": _BYTES}, "required": ["file"]}
_RAW = {"application/octet-stream": {"schema": _BYTES}}
_FILES: Schema = {
    "multipart/form-data": {"schema": _FORM},
    **_RAW,
}
_CONTENTS: Mapping[str, Schema] = {
    "any": _json({"type": "object"}),
    "readiness": _json(_READINESS),
    "text/html": {"text/html": {"schema": {"type": "string"}}},
    # JSON too, on request; generated clients would accept all media types listed.
    "text/plain": {"text/plain": {"schema": {"type": "string"}}},
    "result": _json(_one_of(("Embedded", "Succeeded", "Failed"))),
    "results": _json({"anyOf": [_ref("Succeeded"), _ref("Queued"), _list_of("results", _ENTRIES)]}),
    "embeddings": _json(
        {"anyOf": [_ref("Embedded"), _ref("Queued"), _list_of("results", _VECTORS)]}
    ),
    "jobs": _json({"anyOf": [_ref("Queued"), _list_of("jobs", ("Queued", "Problem"))]}),
    "inference": {
        **_json({"type": "object", "required": ["model_name", "model_version", "outputs"]}),
        **_RAW,
    },
}
_BODY: Mapping[str, Schema] = {
    # JSON too, but client generators support only one, or pick the wrong one.
    "images": {"required": True, "content": _FILES},
    "label": {"required": True, "content": _json(_ref("Label"))},
    "name": {"required": False, "content": _json(_ref("Named"))},
    "target": {"required": False, "content": _json(_ref("Target"))},
    "inference": {
        "required": True,
        "content": {**_json(_ref("InferRequest")), **_RAW},
    },
}


def _schemas() -> Schema:
    _, answers = models_json_schema(
        [(model, "serialization") for model in _MODELS], ref_template=_REF
    )
    _, bodies = models_json_schema([(model, "validation") for model in _BODIES], ref_template=_REF)
    found: Schema = {**answers["$defs"], **bodies["$defs"]}
    # Later versions may add properties, and have another `v`.
    for schema in found.values():
        schema.pop("additionalProperties", None)
        if "v" in schema["properties"]:
            schema["properties"]["v"] = {"type": "integer", "default": 1}
    return found


def _parameters(max_wait_seconds: float) -> Schema:
    wait = {"type": "number", "minimum": 0, "maximum": max_wait_seconds}
    top = {"type": "integer", "minimum": 1, "maximum": TOP_MAXIMUM, "default": TOP_DEFAULT}
    key = {"type": "string", "pattern": KEY_PATTERN}
    length = {"type": "integer", "minimum": 0}
    return {
        "wait": _parameter("wait", "query", wait, "seconds to wait for the result"),
        "top": _parameter("top", "query", top, "entries of the ranking"),
        "idempotency-key": _parameter(
            "Idempotency-Key", "header", key, "the same key and bytes are the same job"
        ),
        "request-id": _parameter(
            "X-Request-ID", "header", {"type": "string"}, "an id for the answer and the log"
        ),
        "header-length": _parameter(
            HEADER_LENGTH, "header", length, "bytes of the JSON when tensors follow it"
        ),
    }


def _parameter(name: str, place: str, schema: Schema, about: str) -> Schema:
    return {"name": name, "in": place, "required": False, "schema": schema, "description": about}


def _path_parameters(path: str) -> list[Schema]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    id_ = {"type": "string", "pattern": f"^{PATTERN}$"}
    kinds: Mapping[str, Schema] = {"job": id_, "upload": id_}
    anything = {"type": "string", "minLength": 1}
    return [
        {"name": name, "in": "path", "required": True, "schema": kinds.get(name, anything)}
        for name in names
    ]
