"""Request ids, idempotency keys, CORS and presigned uploads of a real web daemon."""

import base64
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from testkit.aws.embedded import BUCKETS, NAME, Cloud, emptied
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.waiting import wait_until
from testkit.web.daemon import Web, web_daemon

IMAGE, OTHER = encoded(numbered(0)), encoded(numbered(1))
ORIGIN = "https://app.example"

pytestmark = pytest.mark.usefixtures("no_requests")


@pytest.fixture(scope="module")
def aws(running_aws: Cloud) -> Cloud:
    return emptied(running_aws)


@pytest.fixture(scope="module")
def web(aws: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    settings = {"WEB__CORS_ORIGINS": f'["{ORIGIN}"]', "IMAGES__MAX_BYTES": "2000000"}
    with web_daemon(aws, folder, **settings) as made:
        yield made


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


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/classify?wait=0"])
def test_idempotency_key_with_the_same_bytes_is_the_same_job(
    aws: Cloud, web: Web, path: str
) -> None:
    headers = {"Idempotency-Key": f"key of {path}".replace(" ", "-")}
    first, second = (web.post(path, data=IMAGE, headers=headers) for _ in range(2))
    assert first.status_code == second.status_code == 202
    assert first.json() == second.json()
    assert len(aws.receive(f"{NAME}-requests")) == 1


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


def test_idempotency_key_covers_several_files(web: Web) -> None:
    files = [("f", ("1", IMAGE)), ("f", ("2", OTHER))]
    headers = {"Idempotency-Key": "several"}
    first, second = (web.post("/v1/jobs", files=files, headers=headers).json() for _ in range(2))
    assert first == second
    assert len({one["job"] for one in first["jobs"]}) == 2


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


def test_idempotency_claim_of_a_lost_upload_can_be_repeated(aws: Cloud, web: Web) -> None:
    """As after a crash between the claim and the upload."""
    headers = {"Idempotency-Key": "crashed"}
    job = web.post("/v1/jobs", data=IMAGE, headers=headers).json()["job"]
    aws.receive(f"{NAME}-requests")
    aws.s3.delete_object(Bucket=BUCKETS[0], Key=f"images/{job}")
    with stand_in(aws):
        answer = web.post("/v1/classify", data=IMAGE, headers=headers)
    assert (answer.json()["job"], answer.json()["label"]) == (job, label_of(IMAGE))


@pytest.mark.parametrize("key", ["", "x" * 256, "two words"])
def test_bad_idempotency_keys_are_refused(web: Web, key: str) -> None:
    answer = web.post("/v1/jobs", data=IMAGE, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_parameter")


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


def put(target: dict[str, Any], data: bytes) -> requests.Response:
    """Post a file as the form says, as a browser would."""
    files = {"file": ("photo.png", data)}
    return requests.post(target["url"], data=target["fields"], files=files, timeout=60)


def test_presigned_upload_goes_to_s3_and_is_classified(aws: Cloud, web: Web) -> None:
    made = web.post("/v1/uploads", json={"content_type": "image/png"})
    target = made.json()
    assert made.status_code == 201
    assert target["max_bytes"] == 2000000
    assert put(target, IMAGE).ok
    start = {"upload": target["upload"], "file_name": "C:\\a\\photo.png"}
    accepted = web.post("/v1/jobs?top=2", json=start)
    assert accepted.status_code == 202
    assert accepted.headers["Location"] == f"/v1/jobs/{target['upload']}"
    with stand_in(aws):
        done = web.get(accepted.headers["Location"] + "?wait=20").json()
    assert (done["label"], done["file_name"]) == (label_of(IMAGE), "photo.png")
    assert len(done["top"]) == 2
    stored = aws.s3.get_object(Bucket=BUCKETS[0], Key=f"images/{target['upload']}")
    assert (stored["ContentType"], stored["Metadata"]) == ("image/png", {"file-name": "photo.png"})
    again = web.post("/v1/jobs", json=start)
    assert again.json() == accepted.json()
    assert aws.receive(f"{NAME}-requests") == [], "it has its result"


def test_presigned_form_bounds_size_type_and_key(web: Web) -> None:
    """What S3 itself checks; the embedded AWS does not."""
    target = web.post("/v1/uploads", json={"content_type": "image/jpeg"}).json()
    policy = json.loads(base64.b64decode(target["fields"]["policy"]))["conditions"]
    assert ["content-length-range", 1, 2000000] in policy
    assert {"Content-Type": "image/jpeg"} in policy
    assert {"key": f"uploads/{target['upload']}"} in policy
    assert target["fields"]["x-amz-algorithm"] == "AWS4-HMAC-SHA256"


def test_presigned_upload_cannot_change_after_its_check(aws: Cloud, web: Web) -> None:
    target = web.post("/v1/uploads").json()
    put(target, IMAGE)
    start = {"upload": target["upload"]}
    web.post("/v1/jobs", json=start)
    put(target, b"something else")
    assert web.post("/v1/jobs", json=start).status_code == 202
    assert aws.object(f"images/{target['upload']}", BUCKETS[0]) == IMAGE


def test_presigned_upload_may_have_a_long_header(web: Web) -> None:
    big = encoded(numbered(5, side=700), "TIFF")  # its directory stands at its end
    assert 1_000_000 < len(big) < 2_000_000
    target = web.post("/v1/uploads").json()
    put(target, big)
    answer = web.post(f"/v1/uploads/{target['upload']}")
    assert (answer.status_code, answer.json()["job"]) == (202, target["upload"])
    assert web.post("/v1/jobs", json={"upload": target["upload"]}).status_code == 202
    assert web.post("/v1/uploads/nothing", json={"file_name": "a"}).status_code == 404


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"just text", 415, "not_an_image"),
        (b"text" * 200_000, 415, "not_an_image"),
        (b"\xff" * 2_000_001, 413, "too_large"),
    ],
)
def test_bad_presigned_uploads_are_refused_at_their_start(
    aws: Cloud, web: Web, data: bytes, status: int, code: str
) -> None:
    target = web.post("/v1/uploads").json()
    put(target, data)
    answer = web.post("/v1/jobs", json={"upload": target["upload"]})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert web.get(f"/v1/jobs/{target['upload']}").status_code == 404, "it is no job"
    assert aws.receive(f"{NAME}-requests") == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"upload": "0" * 26}, 404, "unknown_upload"),
        ({"upload": "../images/x"}, 404, "unknown_upload"),
        ({}, 400, "no_file"),
        ({"upload": 1}, 400, "bad_body"),
        ([], 400, "bad_body"),
    ],
)
def test_bad_start_requests_are_refused(web: Web, body: Any, status: int, code: str) -> None:
    answer = web.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("body", "code"), [({"content_type": "text/html"}, "bad_parameter"), ([1], "bad_body")]
)
def test_bad_presign_requests_are_refused(web: Web, body: Any, code: str) -> None:
    answer = web.post("/v1/uploads", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_presigned_upload_without_a_start_is_no_job(web: Web) -> None:
    target = web.post("/v1/uploads").json()
    put(target, IMAGE)
    assert web.get(f"/v1/jobs/{target['upload']}").json()["code"] == "unknown_job"


def test_start_whose_request_was_lost_can_be_repeated(aws: Cloud, web: Web) -> None:
    """As after a crash between the copy and the message."""
    target = web.post("/v1/uploads").json()
    put(target, IMAGE)
    start = {"upload": target["upload"]}
    web.post("/v1/jobs", json=start)
    assert [one["job"] for one in aws.receive(f"{NAME}-requests")] == [target["upload"]]
    web.post("/v1/jobs", json=start)
    assert [one["job"] for one in aws.receive(f"{NAME}-requests")] == [target["upload"]]
