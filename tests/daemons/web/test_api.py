"""Request ids, idempotency keys and CORS of a real web daemon."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from testkit.aws.embedded import Cloud, emptied
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.waiting import wait_until
from testkit.web.daemon import Web

IMAGE, OTHER = encoded(numbered(0)), encoded(numbered(1))
ORIGIN = "https://app.example"

pytestmark = pytest.mark.usefixtures("no_requests")

WEB_SETTINGS = {"WEB__CORS_ORIGINS": f'["{ORIGIN}"]'}
aws = pytest.fixture(emptied, scope="module")


def lines(web: Web, request_id: str) -> list[str]:
    return [line for line in web.process.output().splitlines() if request_id in line]


def test_request_id_is_in_response_and_log(web: Web) -> None:
    headers = {"X-Request-ID": "abc-123"}
    accepted = web.post("/v1/jobs", data=IMAGE, headers=headers)
    assert accepted.headers["X-Request-ID"] == "abc-123"

    def told() -> list[str]:
        return [one for one in lines(web, "abc-123") if "web: request " in one]

    (line,) = wait_until(told)  # it is written when the answer is sent
    assert f"jobs={accepted.json()['job']}" in line
    assert "status=202" in line
    assert f"bytes={len(IMAGE)}" in line


def test_problem_response_has_its_request_id(web: Web) -> None:
    answer = web.post("/v1/jobs", data=b"text", headers={"X-Request-ID": "mine"})
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"] == "mine"
    assert any("refused" in line and "code=not_an_image" in line for line in lines(web, "mine"))


@pytest.mark.parametrize("sent", ["", "two words", "x" * 129, 'quo"te', "\u00e9"])
def test_malformed_request_id_is_replaced(web: Web, sent: str) -> None:
    answer = web.get("/healthz", headers={"X-Request-ID": sent.encode("latin-1")})
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["X-Request-ID"])


def test_idempotency_key_returns_the_existing_result(aws: Cloud, web: Web) -> None:
    headers = {"Idempotency-Key": "with-result"}
    with stand_in(aws) as fleet:
        answers = [web.post("/v1/classify", data=IMAGE, headers=headers) for _ in range(3)]
    assert {one.json()["job"] for one in answers} == {answers[0].json()["job"]}
    assert [one.json()["label"] for one in answers] == [label_of(IMAGE)] * 3
    assert len(fleet.handled) == 1


def test_idempotency_key_with_another_upload_is_refused(web: Web) -> None:
    headers = {"Idempotency-Key": "reused"}
    assert web.post("/v1/jobs", data=IMAGE, headers=headers).status_code == 202
    for path, data in (("/v1/jobs", OTHER), ("/v1/jobs?top=2", IMAGE)):
        answer = web.post(path, data=data, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")
    files = [("f", ("1", IMAGE)), ("f", ("2", OTHER))]
    several = web.post("/v1/jobs", files=files, headers=headers)
    assert several.json()["jobs"][0]["code"] == "key_reused"


def test_idempotency_key_belongs_to_one_client(web: Web) -> None:
    jobs = [
        web.post(
            "/v1/jobs", data=IMAGE, headers={"Idempotency-Key": "shared", "X-API-Key": who}
        ).json()["job"]
        for who in ("a", "b", "a")
    ]
    assert jobs[0] == jobs[2] != jobs[1]


def test_idempotency_key_makes_20_concurrent_uploads_one_job(web: Web) -> None:
    headers = {"Idempotency-Key": "at-once"}
    with ThreadPoolExecutor(20) as clients:
        answers = list(
            clients.map(lambda _: web.post("/v1/jobs", data=IMAGE, headers=headers), range(20))
        )
    assert {one.status_code for one in answers} <= {202, 503}
    assert len({one.json()["job"] for one in answers if one.status_code == 202}) == 1


def claims(aws: Cloud) -> set[str]:
    listed = aws.s3.list_objects_v2(Bucket="visionfleet-output", Prefix="idempotency/")
    return {item["Key"] for item in listed.get("Contents", [])}


def test_unreadable_idempotency_claim_is_replaced(aws: Cloud, web: Web) -> None:
    def upload() -> requests.Response:
        headers = {"Idempotency-Key": "unreadable"}
        return requests.post(
            web.url + "/v1/jobs", data=encoded(numbered(4)), headers=headers, timeout=30
        )

    before = claims(aws)
    assert upload().status_code == 202
    (key,) = claims(aws) - before
    aws.s3.put_object(Bucket="visionfleet-output", Key=key, Body=b"\xff{")
    again = upload()
    assert again.status_code == 202
    assert upload().json()["job"] == again.json()["job"]


def test_cors_admits_a_known_origin(web: Web) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Origin": ORIGIN}
    preflight = requests.options(f"{web.url}/v1/classify", headers=asked, timeout=60)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in preflight.headers["Access-Control-Allow-Headers"]
    answer = web.post("/v1/jobs", data=b"text", headers={"Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Location" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["Vary"] == "Origin"


def test_cors_refuses_another_origin(web: Web) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Origin": "https://evil.example"}
    preflight = requests.options(f"{web.url}/v1/classify", headers=asked, timeout=60)
    answer = web.get("/healthz", headers=asked)
    for one in (preflight, answer):
        assert not [name for name in one.headers if name.startswith("Access-Control")]
