"""Responses for results, failures and queued jobs."""

import pytest

from visionfleet.contract.messages import Failed, ModelInfo, Ranked, Succeeded, Timings
from visionfleet.web.jobs.answers import Queued
from visionfleet.web.load.admission import Refusal
from visionfleet.web.routes.classify import plain, wants_json
from visionfleet.web.routes.documents import document

SUCCEEDED = Succeeded(
    job="j",
    file_name="a.png",
    label="cat",
    score=0.9,
    top=(Ranked(index=1, label="cat", score=0.9),),
    model=ModelInfo(name="m", fingerprint="f"),
    timings=Timings(),
    attempts=1,
    worker="w",
    finished_at=0.0,
)
UNSURE = SUCCEEDED.model_copy(update={"label": None, "reason": "low confidence"})
FAILED = Failed(job="j", code="expired", reason="late", attempts=1, worker="w", finished_at=0.0)
QUEUED = Queued("j")
REFUSED = Refusal("empty", "the file is empty")


@pytest.mark.parametrize(
    ("pattern", "file_name", "line"),
    [
        ("{label}", "test_0.JPEG", "church"),
        ("{stem}:{label}", "test_0.JPEG", "test_0:church"),
        ("{stem}:{label}", "", ":church"),
        ("{stem}:{label}", "a.b.png", "a.b:church"),
        ("{stem}:{label}", ".png", ".png:church"),
        ("{stem}:{label}", "{label}.png", "{label}:church"),  # a name is no pattern
        ("{label} {other} {", "x", "church {other} {"),
    ],
)
def test_plain_reply_of_results(pattern: str, file_name: str, line: str) -> None:
    of_church = SUCCEEDED.model_copy(update={"top": (Ranked(index=1, label="church", score=1),)})
    assert plain(pattern, of_church, file_name) == line


@pytest.mark.parametrize(
    ("accept", "json"),
    [
        ("", False),
        ("*/*", False),
        ("text/html,*/*;q=0.8", False),
        ("application/json", True),
        ("text/plain, Application/JSON;q=0.5", False),
        ("text/plain;q=0.4, Application/JSON; q=0.5", True),
        ("application/json, text/plain, */*", True),
        ("application/json;q=0", False),
        ("application/json;q=x", False),
        ("application/problem+json", False),
    ],
)
def test_accept_header_decides_on_json(accept: str, json: bool) -> None:
    assert wants_json(accept) is json


def test_json_document_of_each_outcome() -> None:
    assert document(SUCCEEDED, "")["label"] == "cat"
    assert document(SUCCEEDED, "")["reason"] is None
    assert (document(UNSURE, "")["label"], document(UNSURE, "")["reason"]) == (
        None,
        "low confidence",
    )
    assert UNSURE.best == "cat", "for those who know of labels alone"
    assert document(FAILED, "")["code"] == "expired"
    assert document(QUEUED, "") == {"job": "j", "status": "queued", "location": "/v1/jobs/j"}
    assert (document(FAILED, "")["status"], document(FAILED, "")["job"]) == (422, "j")
    assert document(REFUSED, "")["status"] == 400
    assert document(QUEUED, "/vision")["location"] == "/vision/v1/jobs/j"
