"""The OpenAPI document says what the handlers do."""

import json
import re

import pytest
from tornado.web import RequestHandler

from visionfleet.web.problems import STATUSES
from visionfleet.web.routes.application import ROUTES
from visionfleet.web.routes.openapi import describe
from visionfleet.web.routes.operation import operations

DESCRIPTION = describe([(path, operations(kind)) for path, kind in ROUTES], 300.0)
OPERATIONS = {
    (path, method): operation
    for path, kind in ROUTES
    for method, operation in operations(kind).items()
}


def methods(handler: type) -> set[str]:
    """What a handler answers; HEAD is GET without a body, and OPTIONS is everywhere."""
    missing = RequestHandler._unimplemented_method
    all_ = ("get", "post", "put", "delete")
    return {one for one in all_ if getattr(handler, one) is not missing}


def test_openapi_describes_every_operation_and_no_other() -> None:
    assert set(OPERATIONS) == {(path, one) for path, kind in ROUTES for one in methods(kind)}


def test_openapi_names_every_error_code() -> None:
    told = {code for operation in OPERATIONS.values() for code in operation.problems}
    everywhere = {"not_found", "method_not_allowed", "wrong_host", "head_too_large"}
    assert told | everywhere == set(STATUSES)


def test_openapi_references_exist() -> None:
    for reference in re.findall(r'"#/([\w/-]+)"', json.dumps(DESCRIPTION)):
        found = DESCRIPTION
        for part in reference.split("/"):
            found = found[part]
        assert found


def test_openapi_operation_ids_are_unique() -> None:
    ids = [
        one["operationId"]
        for path in DESCRIPTION["paths"].values()
        for method, one in path.items()
        if method != "parameters"
    ]
    assert len(ids) == len(set(ids)) == len(OPERATIONS)


@pytest.mark.parametrize("path", ["/v1/jobs/{job}", "/v2/models/{model}/versions/{version}"])
def test_openapi_declares_path_parameters(path: str) -> None:
    names = [one["name"] for one in DESCRIPTION["paths"][path]["parameters"]]
    assert names == re.findall(r"\{(\w+)\}", path)


def test_openapi_gives_both_ways_to_send_an_api_key() -> None:
    assert set(DESCRIPTION["components"]["securitySchemes"]) == {"bearer", "key"}
    for (path, method), operation in OPERATIONS.items():
        described = DESCRIPTION["paths"][path][method]
        asked = "no_key" in operation.problems
        assert described.get("security", []) == ([{"bearer": []}, {"key": []}, {}] if asked else [])


def test_openapi_marks_open_operations() -> None:
    """Reading the state of the process, the page and the description; all else asks for a key."""
    for path, kind in ROUTES:
        for method in methods(kind):
            asked = "no_key" in OPERATIONS[path, method].problems
            assert asked == (method.upper() not in kind.open_methods), (method, path)
