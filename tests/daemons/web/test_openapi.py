"""The running daemon answers as its OpenAPI document says, whatever that allows to ask."""

import json
import time
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

from testkit.aws.embedded import BUCKETS, Cloud, emptied
from testkit.classifier.stand_in import stand_in
from testkit.images.pictures import encoded, numbered
from testkit.web.daemon import Web, web_daemon
from testkit.web.fleet_status import fleet_status
from testkit.web.model_description import model_description

EXAMPLES = 12
IMAGES = [encoded(numbered(i)) for i in range(3)]
NAMES = [
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]

aws = pytest.fixture(emptied, scope="module")


@pytest.fixture(scope="module")
def web(aws: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    workers = stand_in(aws, threads=2, vectors=True)
    with workers, web_daemon(aws, folder, WEB__MAX_WAIT_SECONDS="30") as made:
        yield made


@pytest.fixture(scope="module")
def operations(web: Web) -> list[Any]:
    load_all_checks()
    for media_type in ("image/png", "image/jpeg"):
        schemathesis.openapi.media_type(media_type, st.sampled_from(IMAGES))
    noise = st.one_of(st.sampled_from(IMAGES), st.binary(max_size=200))
    schemathesis.openapi.media_type("application/octet-stream", noise)
    schema: Any = schemathesis.openapi.from_url(f"{web.url}/openapi.json")
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


@pytest.fixture
def told(aws: Cloud) -> None:
    """The scaler has written a status, and a worker its model."""
    at = time.time()
    written = {
        "fleet/model.json": model_description(["rose"], at),
        "fleet/status.json": fleet_status(at),
    }
    for key, body in written.items():
        aws.s3.put_object(Bucket=BUCKETS[1], Key=key, Body=json.dumps(body).encode())


def corrected(web: Web, job: str) -> requests.Response:
    return requests.put(f"{web.url}/v1/jobs/{job}/label", json={"label": "rose"}, timeout=30)


def test_every_member_of_rare_responses_is_described(web: Web, told: None) -> None:
    """Answers that a generator does not find: a result, several files, a correction, a vector."""
    schema = schemathesis.openapi.from_dict(closed(web.get("/openapi.json").json()))
    one, other = (web.post(f"/v1/{way}", data=IMAGES[0]) for way in ("classify", "embed"))
    jobs = [answer.json()["job"] for answer in (one, other)]
    files = [("f", ("1", IMAGES[0])), ("f", ("2", b"text"))]
    answers = {
        ("/v1/classify", "POST"): [one, web.post("/v1/classify", files=files)],
        ("/v1/embed", "POST"): [other, web.post("/v1/embed", files=files)],
        ("/v1/jobs", "POST"): [web.post("/v1/jobs", files=files)],
        ("/v1/jobs/{job}", "GET"): [web.get(f"/v1/jobs/{job}") for job in jobs],
        ("/v1/jobs/{job}/label", "PUT"): [corrected(web, job) for job in (*jobs, "none")],
        ("/v1/uploads", "POST"): [web.post("/v1/uploads")],
        ("/v1/model", "GET"): [web.get("/v1/model")],
        ("/v1/fleet", "GET"): [web.get("/v1/fleet")],
        ("/readyz", "GET"): [web.get("/readyz")],
    }
    answers["/v1/jobs/{job}", "GET"] += [web.get(f"/v1/jobs/{job}") for job in jobs]
    for (path, method), found in answers.items():
        for answer in found:
            schema[path][method].validate_response(answer)


def closed(node: Any) -> Any:
    """Allow in a description no member that it does not name."""
    if isinstance(node, list):
        return [closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {name: closed(one) for name, one in node.items()}
    return {"additionalProperties": False, **made} if "properties" in made else made
