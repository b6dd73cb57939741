"""Corrections: kept beside the result, with the image while it is there."""

from collections.abc import Iterator

import pytest
import requests

from testkit.aws.embedded import BUCKETS, Cloud, emptied
from testkit.classifier.stand_in import StandIn, label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.web.daemon import Web
from visionfleet.config import Config
from visionfleet.config.schema import AwsSection
from visionfleet.contract.corrections import Correction

IMAGE = encoded(numbered(3))

aws = pytest.fixture(emptied, scope="module")


@pytest.fixture
def fleet(aws: Cloud) -> Iterator[StandIn]:
    with stand_in(aws) as made:
        yield made


def put(web: Web, job: str, body: object) -> requests.Response:
    return requests.put(f"{web.url}/v1/jobs/{job}/label", json=body, timeout=30)


def classified(web: Web) -> str:
    found = web.post("/v1/classify?wait=20", files={"file": ("a.png", IMAGE)}).json()
    assert found["label"] == label_of(IMAGE)
    return str(found["job"])


def test_label_is_kept_with_its_image(aws: Cloud, web: Web, fleet: StandIn) -> None:
    job = classified(web)
    answer = put(web, job, {"label": "red tulip"})
    found = answer.json()
    assert (answer.status_code, found["label"], found["image_kept"]) == (200, "red tulip", True)
    assert (found["answered"], found["unsure"], found["file_name"]) == (
        label_of(IMAGE),
        False,
        "a.png",
    )
    stored = aws.object(f"corrections/{job}.json")
    assert stored is not None
    assert Correction.decode(stored).model_dump(mode="json") == found
    assert aws.object(f"corrections/{job}", BUCKETS[0]) == IMAGE
    seen = web.get(f"/v1/jobs/{job}").json()
    assert (seen["corrected"], seen["label"]) == ("red tulip", label_of(IMAGE))


def test_the_same_label_again_changes_nothing(web: Web, fleet: StandIn) -> None:
    job = classified(web)
    first = put(web, job, {"label": "tulip"}).json()
    assert put(web, job, {"label": "tulip"}).json() == first
    assert put(web, job, {"label": "rose"}).json()["at"] > first["at"]
    assert web.get(f"/v1/jobs/{job}").json()["corrected"] == "rose"


def test_label_says_that_its_image_is_gone(aws: Cloud, web: Web, fleet: StandIn) -> None:
    job = classified(web)
    aws.s3.delete_object(Bucket=BUCKETS[0], Key=f"images/{job}")
    assert put(web, job, {"label": "tulip"}).json()["image_kept"] is False
    assert aws.object(f"corrections/{job}", BUCKETS[0]) is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"label": ""}, "bad_parameter"),
        ({"label": " tulip"}, "bad_parameter"),
        ({"label": "a\nb"}, "bad_parameter"),
        ({"label": "x" * 201}, "bad_parameter"),
        ({"label": 3}, "bad_body"),
        ([], "bad_body"),
    ],
)
def test_labels_that_are_none_are_refused(web: Web, body: object, code: str) -> None:
    assert put(web, "0" * 26, body).json()["code"] == code


def test_label_of_no_job_or_no_answer_is_refused(aws: Cloud, web: Web) -> None:
    for job in ("0" * 26, "other"):
        assert put(web, job, {"label": "tulip"}).json()["code"] == "unknown_job"
    job = web.post("/v1/jobs", files={"file": IMAGE}).json()["job"]
    waiting = put(web, job, {"label": "tulip"})
    assert (waiting.status_code, waiting.json()["code"]) == (409, "not_answered")
    with stand_in(aws, fails=True):
        assert web.get(f"/v1/jobs/{job}?wait=20").json()["status"] == "failed"
    assert put(web, job, {"label": "tulip"}).json()["code"] == "not_answered"


@pytest.mark.needs_torch
def test_corrections_are_what_is_taught(aws: Cloud, web: Web, fleet: StandIn) -> None:
    from visionfleet.model.teaching.corrected import of_corrections, told

    kept, gone = classified(web), classified(web)
    aws.s3.delete_object(Bucket=BUCKETS[0], Key=f"images/{gone}")
    for job in (kept, gone):
        put(web, job, {"label": "tulip"})
    section = AwsSection.model_validate({"endpoint_url": aws.endpoint_url, "region": "us-east-1"})
    found = [
        one for one in of_corrections(Config(aws=section)) if one.correction.job in (kept, gone)
    ]
    assert len(found) == 2
    (photo,) = [one.photo for one in found if one.photo is not None]
    assert (photo.label, photo.data) == ("tulip", IMAGE)
    assert told(found).startswith("2 corrections: 2 other labels, 0 that")
