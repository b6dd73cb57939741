"""Presigned uploads to S3 with a real web daemon."""

import base64
import json
from typing import Any

import pytest
import requests

from testkit.aws.embedded import BUCKETS, NAME, Cloud, emptied
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.web.daemon import Web

IMAGE = encoded(numbered(0))

pytestmark = pytest.mark.usefixtures("no_requests")

WEB_SETTINGS = {"IMAGES__MAX_BYTES": "2000000"}
aws = pytest.fixture(emptied, scope="module")


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
