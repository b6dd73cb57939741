"""Problem documents."""

import re

import pytest

from testkit import ROOT
from visionfleet.contract.messages import Failed
from visionfleet.web.load.admission import Refusal
from visionfleet.web.problems import STATUSES, Problem, problem_of

DOCS = ROOT / "docs" / "http-api.md"


def failed(code: str) -> Failed:
    return Failed(job="j", code=code, reason="why", attempts=1, worker="w", finished_at=0.0)


def test_problem_document_has_code_and_detail() -> None:
    assert Problem("too_large", "much too large").document() == {
        "type": "about:blank",
        "title": "Request Entity Too Large",
        "status": 413,
        "detail": "much too large",
        "code": "too_large",
    }


@pytest.mark.parametrize(
    ("code", "status"),
    [("cannot_be_decoded", 422), ("expired", 422), ("too_large", 413), ("of a later version", 422)],
)
def test_failed_result_is_a_problem(code: str, status: int) -> None:
    document = problem_of(failed(code)).document()
    assert (document["status"], document["code"]) == (status, code)
    assert (document["detail"], document["job"]) == ("why", "j")


def test_try_later_has_retry_after() -> None:
    problem = problem_of(Refusal("try_later", "not now", retry_seconds=4.2))
    assert (problem.status, problem.detail) == (503, "not now")
    assert problem.headers == {"Retry-After": "5"}
    assert problem_of(Refusal("key_reused", "another upload")).headers == {}


def test_docs_list_every_error_code_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", DOCS.read_text(), re.MULTILINE)
    assert {code: int(status) for status, code in rows} == STATUSES
