"""What clients of the web daemon get when the model is not sure."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.aws.embedded import Cloud, cloud
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.cli import visionfleet
from testkit.web.daemon import Web, web_daemon

IMAGE = encoded(numbered(1))
LABEL = label_of(IMAGE)
WEB_SETTINGS = {"RESULTS__BY_NAME": "true"}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("aws")) as made, stand_in(made, unsure=True):
        yield made


def test_low_confidence_json_has_no_label_and_a_reason(web: Web) -> None:
    found = web.post("/v1/classify?top=3", files={"file": IMAGE}).json()
    assert (found["status"], found["label"], found["reason"]) == (
        "succeeded",
        None,
        "low confidence",
    )
    assert [ranked["label"] for ranked in found["top"]] == [LABEL] * 3
    assert web.get(f"/v1/jobs/{found['job']}").json() == found


def test_low_confidence_plain_reply_is_the_best_label(web: Web) -> None:
    answer = web.post("/", files={"file": IMAGE})
    assert (answer.status_code, answer.text) == (200, LABEL)
    assert answer.headers["Visionfleet-Score"] == "0.9000"
    assert answer.headers["Visionfleet-Reason"] == "low confidence"


def test_plain_reply_to_the_unsure_is_a_setting(aws: Cloud, tmp_path: Path) -> None:
    with web_daemon(aws, tmp_path, WEB__PLAIN_UNSURE="'{stem}: perhaps {label}'") as web:
        answer = web.post("/", files={"file": ("a.png", IMAGE)})
    assert (answer.status_code, answer.text) == (200, f"a: perhaps {LABEL}")


def test_low_confidence_open_inference_gives_the_best_class(web: Web) -> None:
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1]}
    data = [base64.b64encode(IMAGE).decode()]
    answer = web.post("/v2/models/default/infer", json={"inputs": [tensor | {"data": data}]})
    assert answer.json()["outputs"][0]["data"] == [f"0.900000:0:{LABEL}"]


def test_low_confidence_shows_in_the_classify_command(web: Web, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(IMAGE)
    done = visionfleet("classify", "--url", web.url, str(tmp_path / "a.png"))
    assert f"unsure: {LABEL}?" in done.stdout
