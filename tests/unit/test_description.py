"""The description of the API says what the handlers do."""

import json
import re

import pytest
from tornado.web import RequestHandler

from visionfleet.web.application import ROUTES
from visionfleet.web.description import OPERATIONS, describe
from visionfleet.web.problems import STATUSES

DESCRIPTION = describe(300.0)


def methods(handler: type) -> set[str]:
    """What a handler answers; HEAD is GET without a body, and OPTIONS is everywhere."""
    missing = RequestHandler._unimplemented_method
    all_ = ("get", "post", "put", "delete")
    return {one for one in all_ if getattr(handler, one) is not missing}


def test_every_operation_is_described_and_no_other() -> None:
    assert set(OPERATIONS) == {(path, one) for path, kind in ROUTES for one in methods(kind)}


def test_every_code_is_told_somewhere() -> None:
    told = {code for operation in OPERATIONS.values() for code in operation.problems}
    everywhere = {"not_found", "method_not_allowed"}
    assert told | everywhere == set(STATUSES)


def test_all_references_lead_somewhere() -> None:
    for reference in re.findall(r'"#/([\w/-]+)"', json.dumps(DESCRIPTION)):
        found = DESCRIPTION
        for part in reference.split("/"):
            found = found[part]
        assert found


def test_operation_ids_are_unique() -> None:
    ids = [
        one["operationId"]
        for path in DESCRIPTION["paths"].values()
        for method, one in path.items()
        if method != "parameters"
    ]
    assert len(ids) == len(set(ids)) == len(OPERATIONS)


@pytest.mark.parametrize("path", ["/v1/jobs/{job}", "/v2/models/{model}/versions/{version}"])
def test_path_parameters(path: str) -> None:
    names = [one["name"] for one in DESCRIPTION["paths"][path]["parameters"]]
    assert names == re.findall(r"\{(\w+)\}", path)
