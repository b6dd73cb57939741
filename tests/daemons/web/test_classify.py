"""The web daemon as a real process: what it answers when all is well."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from testkit import ROOT
from testkit.aws.embedded import BUCKETS, Cloud, emptied
from testkit.classifier.stand_in import StandIn, label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.web.daemon import Web, reply_queues, web_daemon

IMAGE = encoded(numbered(0))

aws = pytest.fixture(emptied, scope="module")


@pytest.fixture
def fleet(aws: Cloud) -> Iterator[StandIn]:
    with stand_in(aws, threads=2) as made:
        yield made


@pytest.mark.parametrize("field", ["myfile", "file", "inputFile"])
def test_plain_post_gets_the_bare_label(web: Web, fleet: StandIn, field: str) -> None:
    answer = web.post("/?ignored=1", files={field: ("test_0.JPEG", IMAGE)})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text == label_of(IMAGE)
    assert answer.headers["Visionfleet-Score"] == "0.9000"
    assert "Visionfleet-Reason" not in answer.headers, "it is sure"


def test_python_of_the_documentation_works(web: Web, fleet: StandIn, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(IMAGE)
    page = (ROOT / "docs/http-api.md").read_text()
    (code,) = re.findall(r"```python\n(import requests\n.*?)```", page, re.DOTALL)
    code = code.replace("http://127.0.0.1:8080", web.url.rstrip("/"))
    code = code.replace("/v1/classify", "/v1/classify?wait=0")  # so that it has to ask again
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == (f"{label_of(IMAGE)} 0.9\n", "")


def test_plain_post_answers_the_first_file(web: Web, fleet: StandIn) -> None:
    other = encoded(numbered(1))
    answer = web.post("/", files=[("b", ("1", IMAGE)), ("a", ("2", other))])
    assert answer.text == label_of(IMAGE)


@pytest.mark.parametrize("media_type", ["image/png", "application/octet-stream"])
def test_raw_body_is_classified(web: Web, fleet: StandIn, media_type: str) -> None:
    answer = web.post("/", data=IMAGE, headers={"Content-Type": media_type})
    assert answer.text == label_of(IMAGE)


def test_accept_header_selects_json(web: Web, fleet: StandIn) -> None:
    files = {"file": ("cat.png", IMAGE)}
    answer = web.post("/", files=files, headers={"Accept": "application/json"})
    assert answer.headers["Content-Type"] == "application/json"
    result = answer.json()
    assert (result["status"], result["label"]) == ("succeeded", label_of(IMAGE))
    assert (result["file_name"], len(result["top"])) == ("cat.png", 5)


def test_upload_writes_its_image_and_request(aws: Cloud, web: Web, fleet: StandIn) -> None:
    file = ("C:\\b\u00fccher\\caf\u00e9.png", IMAGE, "text/html")
    result = web.post("/v1/classify?top=3", files={"file": file}).json()
    stored = aws.s3.get_object(Bucket=BUCKETS[0], Key=f"images/{result['job']}")
    assert stored["Body"].read() == IMAGE
    assert stored["ContentType"] == "image/png"  # by content, not as the client says
    assert stored["Metadata"] == {"file-name": "caf\\u00e9.png"}
    request = fleet.handled[-1]
    assert request["file_name"] == "caf\u00e9.png"
    assert (request["top"], request["expires_at"]) == (3, None)
    assert request["reply_to"] in reply_queues(aws)


def test_requests_carry_their_expiry(aws: Cloud, fleet: StandIn, tmp_path: Path) -> None:
    with web_daemon(aws, tmp_path, WEB__EXPIRE_SECONDS="60") as web:
        web.post("/", data=IMAGE)
    request = fleet.handled[-1]
    assert request["expires_at"] == pytest.approx(request["sent_at"] + 60)


def test_classify_gives_the_result_of_one_file(web: Web, fleet: StandIn) -> None:
    answer = web.post("/v1/classify?top=2", data=IMAGE)
    assert answer.status_code == 200
    assert [entry["index"] for entry in answer.json()["top"]] == [0, 1]


def test_classify_several_files_in_order(web: Web, fleet: StandIn) -> None:
    images = [encoded(numbered(i)) for i in range(5)]
    files = [("file", (f"{i}.png", image)) for i, image in enumerate(images)]
    files.insert(2, ("file", ("broken.png", b"no image")))
    answer = web.post("/v1/classify", files=files)
    results = answer.json()["results"]
    assert answer.status_code == 200
    assert (results[2]["status"], results[2]["code"]) == (415, "not_an_image")
    del results[2]
    assert [one["label"] for one in results] == [label_of(image) for image in images]


def test_failed_result_is_a_problem_response(aws: Cloud, web: Web) -> None:
    with stand_in(aws, fails=True):
        plain = web.post("/", data=IMAGE)
        one = web.post("/v1/classify", data=IMAGE)
        several = web.post("/v1/classify", files=[("a", ("1", IMAGE)), ("b", ("2", IMAGE))])
    for answer in (plain, one):
        assert answer.status_code == 422
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "cannot_be_decoded"
        assert aws.result(answer.json()["job"]) is not None
    assert [entry["status"] for entry in several.json()["results"]] == [422, 422]


def test_duplicate_replies_do_no_harm(aws: Cloud, web: Web) -> None:
    with stand_in(aws, replies=3) as fleet:
        for number in range(4):
            image = encoded(numbered(number))
            assert web.post("/", files={"f": ("same", image)}).text == label_of(image)
    assert len(fleet.handled) == 4


def test_health_and_readiness_answer(web: Web) -> None:
    assert web.get("/healthz").json() == {"status": "ok"}
    assert web.get("/readyz").json() == {"ready": True, "reasons": []}
    assert requests.head(f"{web.url}/healthz", timeout=30).status_code == 200


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[]", b"7", b'{"v": 1'])
def test_unreadable_fleet_status_counts_as_none(aws: Cloud, web: Web, body: bytes) -> None:
    aws.s3.put_object(Bucket=BUCKETS[1], Key="fleet/status.json", Body=body)
    with web_daemon(aws, Path(web.process.log).parent) as fresh:
        answer = fresh.get("/v1/fleet")
    aws.s3.delete_object(Bucket=BUCKETS[1], Key="fleet/status.json")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_status")


def test_fleet_endpoint_gives_the_status(aws: Cloud, web: Web) -> None:
    missing = web.get("/v1/fleet")
    assert (missing.status_code, missing.json()["code"]) == (404, "no_status")
    aws.s3.put_object(Bucket=BUCKETS[1], Key="fleet/status.json", Body=b'{"v": 1}')
    # What was read is kept for a second; another process has not read it yet.
    with web_daemon(aws, Path(web.process.log).parent) as fresh:
        fleet = fresh.get("/v1/fleet").json()
    assert abs(fleet.pop("now") - time.time()) < 30
    assert fleet == {"v": 1, "workers": []}


def test_fleet_endpoint_lists_the_workers(aws: Cloud, web: Web) -> None:
    report = {"v": 1, "worker": "w1", "state": "busy", "since": 1.0, "reported_at": 2.0}
    report |= {"started_at": 0.0, "version": "1", "host": "h", "handled": 7}
    for key, body in (("w1", json.dumps(report).encode()), ("w2", b"{")):
        aws.s3.put_object(Bucket=BUCKETS[1], Key=f"fleet/workers/{key}.json", Body=body)
    status = {"v": 1, "at": 0.0, "visible": 3, "in_flight": 1, "decision": "enough"}
    aws.s3.put_object(Bucket=BUCKETS[1], Key="fleet/status.json", Body=json.dumps(status))
    with web_daemon(aws, Path(web.process.log).parent) as fresh:
        fleet = fresh.get("/v1/fleet").json()
    (worker,) = fleet.pop("workers")
    del fleet["now"]
    assert fleet == status
    assert (worker["worker"], worker["state"], worker["handled"]) == ("w1", "busy", 7)


def test_web_process_loads_no_torch(web: Web, fleet: StandIn) -> None:
    assert web.post("/", data=IMAGE).ok
    maps = Path(f"/proc/{web.process.pid}/maps").read_text()
    assert "libssl" in maps or "libc" in maps
    assert "libtorch" not in maps
