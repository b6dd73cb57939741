"""The running daemon answers as its OpenAPI document says, whatever that allows to ask."""

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks

from testkit.aws.embedded import Cloud, emptied
from testkit.classifier.stand_in import stand_in
from testkit.images.pictures import encoded, numbered
from testkit.web.daemon import Web, web_daemon

EXAMPLES = 12
IMAGES = [encoded(numbered(i)) for i in range(3)]
NAMES = [
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]


@pytest.fixture(scope="module")
def aws(running_aws: Cloud) -> Cloud:
    return emptied(running_aws)


@pytest.fixture(scope="module")
def web(aws: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    with stand_in(aws, threads=2), web_daemon(aws, folder, WEB__MAX_WAIT_SECONDS="30") as made:
        yield made


@pytest.fixture(scope="module")
def operations(web: Web) -> list[Any]:
    load_all_checks()
    for media_type in ("image/png", "image/jpeg"):
        schemathesis.openapi.media_type(media_type, st.sampled_from(IMAGES))
    noise = st.one_of(st.sampled_from(IMAGES), st.binary(max_size=200))
    schemathesis.openapi.media_type("application/octet-stream", noise)
    schema = schemathesis.openapi.from_url(f"{web.url}/openapi.json")
    return [found.ok() for found in schema.get_all_operations()]


def ask(operation: Any, seen: Counter[tuple[str, int]]) -> None:
    """Send what the description allows for one operation, and check each answer."""
    checks = CHECKS.get_by_names(NAMES)

    @seed(2026)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def each(case: Any) -> None:
        answer = case.call_and_validate(checks=checks, timeout=40)
        assert answer.status_code not in {500, 503}, answer.content
        seen[operation.label, answer.status_code] += 1

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the library's own
        each()


def test_every_response_matches_the_openapi_document(web: Web, operations: list[Any]) -> None:
    seen: Counter[tuple[str, int]] = Counter()
    for operation in operations:
        ask(operation, seen)
    assert {label for label, _ in seen} == {one.label for one in operations}
    for label, status in (
        ("POST /", 200),
        ("POST /v1/classify", 200),
        ("POST /v1/jobs", 202),
        ("POST /v1/uploads", 201),
    ):
        assert seen[label, status], f"{label} was never {status}: {seen}"
    assert "Traceback" not in web.process.output()


def test_rare_responses_match_the_openapi_document(web: Web) -> None:
    """Answers that a generator does not find: a result, several files, a classified tensor."""
    schema = schemathesis.openapi.from_url(f"{web.url}/openapi.json")
    one = web.post("/v1/classify", data=IMAGES[0])
    files = [("f", ("1", IMAGES[0])), ("f", ("2", b"text"))]
    answers = {
        ("/v1/classify", "POST"): [one, web.post("/v1/classify", files=files)],
        ("/v1/jobs", "POST"): [web.post("/v1/jobs", files=files)],
        ("/v1/jobs/{job}", "GET"): [web.get(f"/v1/jobs/{one.json()['job']}")],
        ("/v1/uploads", "POST"): [web.post("/v1/uploads")],
        ("/readyz", "GET"): [web.get("/readyz")],
    }
    for (path, method), found in answers.items():
        for answer in found:
            assert isinstance(answer, requests.Response)
            schema[path][method].validate_response(answer)
