"""What a crash may leave of a job, cell by cell: the tables of docs/delivery.md are the cases."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from testkit import ROOT
from testkit.aws.aging_proxy import AgingProxy, aging_proxy
from testkit.aws.embedded import BUCKETS, NAME, Cloud, emptied
from testkit.aws.fault_proxy import FaultProxy, fault_proxy
from testkit.aws.faults import Faults
from testkit.classifier.stand_in import label_of, stand_in, succeeded
from testkit.images.pictures import encoded, numbered
from testkit.web.daemon import Web, web_daemon

PAGE = (ROOT / "docs" / "delivery.md").read_text().partition("## What a crash can leave behind")[2]
IMAGES = [encoded(numbered(number)) for number in range(3)]
OTHER = encoded(numbered(9))
ANY = {
    "claim": ("none", "unsent", "sent"),
    "upload": ("none", "stored"),
    "image": ("none", "stored", "outlived"),
    "result": ("none", "stored"),
}


def cells(first: str) -> list[tuple[str, ...]]:
    """Read the table whose first column is that; a row with `any` stands for several."""
    table = PAGE.partition(f"| {first} | image |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
    found = []
    for *facts, _, again, later in rows:
        named = zip((first, "image", "result"), facts, strict=True)
        options = [ANY[name] if fact == "any" else (fact,) for name, fact in named]
        found += [(*each, again, later) for each in product(*options)]
    return found


CLAIMED, DIRECT = cells("claim"), cells("upload")


def test_the_tables_cover_every_combination() -> None:
    known = {each[:3] for each in CLAIMED}
    claims = (*ANY["claim"], "foreign")
    assert known == set(product(claims, ANY["image"], ANY["result"]))
    direct = set(product(ANY["upload"], ANY["image"], ANY["result"]))
    assert {each[:3] for each in DIRECT} == direct
    assert len({each[:3] for each in CLAIMED}) == len(CLAIMED)
    assert len({each[:3] for each in DIRECT}) == len(DIRECT)


aws = pytest.fixture(emptied, scope="module")


@pytest.fixture(scope="module")
def proxy(aws: Cloud) -> Iterator[AgingProxy]:
    with aging_proxy(aws.endpoint_url) as made:
        yield made


@pytest.fixture(scope="module")
def web(aws: Cloud, proxy: AgingProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with web_daemon(aws.behind(proxy.url), tmp_path_factory.mktemp("web")) as made:
        yield made


@dataclass(frozen=True)
class Left:
    """Sets the facts of jobs as a crash, a lifecycle rule or time would."""

    aws: Cloud
    proxy: AgingProxy
    seen: set[str] = field(default_factory=set)  # claims

    def upload(self, jobs: dict[str, bytes], claim: str, image: str, result: str) -> None:
        for key in self.aws.keys("idempotency/"):
            if key not in self.seen and json.loads(self.aws.object(key) or b"")["job"] in jobs:
                self.claim(key, claim)
            self.seen.add(key)
        for job, data in jobs.items():
            self.image(job, image, data)
            if result == "stored":
                self.result(job, data)

    def claim(self, key: str, fact: str) -> None:
        if fact == "none":
            self.aws.s3.delete_object(Bucket=BUCKETS[1], Key=key)
        elif fact == "unsent":  # as an older release wrote it, too
            claim = json.loads(self.aws.object(key) or b"")
            del claim["sent_at"]
            self.aws.s3.put_object(Bucket=BUCKETS[1], Key=key, Body=json.dumps(claim))

    def image(self, job: str, fact: str, data: bytes) -> None:
        key = f"images/{job}"
        if fact == "none":
            self.aws.s3.delete_object(Bucket=BUCKETS[0], Key=key)
            return
        self.aws.s3.put_object(Bucket=BUCKETS[0], Key=key, Body=data)
        if fact == "outlived":
            self.proxy.ages[f"{BUCKETS[0]}/{key}"] = 345_700

    def result(self, job: str, data: bytes) -> None:
        made = succeeded({"job": job, "file_name": "", "top": 1}, label_of(data))
        self.aws.s3.put_object(Bucket=BUCKETS[1], Key=f"results/{job}.json", Body=json.dumps(made))

    def requests(self) -> list[str]:
        """Take the requests out of the queue, and tell their jobs."""
        return [request["job"] for request in self.aws.receive(f"{NAME}-requests")]

    def check_end(self, web: Web, job: str, data: bytes, asked: bool) -> None:
        """A request that was sent has its image, and so the job ends in a result."""
        if asked:
            assert self.aws.object(f"images/{job}", BUCKETS[0]) == data
            self.result(job, data)
            assert status(web, job) == "200"


@pytest.fixture(scope="module")
def left(aws: Cloud, proxy: AgingProxy) -> Left:
    return Left(aws, proxy)


def posted(
    web: Web, path: str, images: list[bytes], headers: dict[str, str]
) -> list[dict[str, Any]]:
    """Send images and give the entry of each."""
    files = [("f", (f"{number}.png", data)) for number, data in enumerate(images)]
    found = web.post(path, files=files, headers=headers).json()
    return list(found.get("results") or found.get("jobs") or [found])


def status(web: Web, job: str) -> str:
    answer = web.get(f"/v1/jobs/{job}")
    code = answer.json().get("code")
    return f"{answer.status_code} `{code}`" if code else str(answer.status_code)


@pytest.mark.parametrize(("path", "count"), [("/v1/jobs", 3), ("/v1/classify?wait=0", 1)])
@pytest.mark.parametrize(("claim", "image", "result", "again", "later"), CLAIMED)
def test_what_an_upload_has_left_is_answered(
    web: Web,
    left: Left,
    path: str,
    count: int,
    claim: str,
    image: str,
    result: str,
    again: str,
    later: str,
) -> None:
    """Of several files the second one just waits; the others are in that state."""
    headers, sent = {"Idempotency-Key": uuid4().hex}, IMAGES[:count]
    jobs = [one["job"] for one in posted(web, "/v1/jobs", sent, headers)]
    assert sorted(left.requests()) == sorted(jobs)
    some = dict(list(zip(jobs, sent, strict=True))[::2])
    left.upload(some, claim, image, result)
    if later != "as above":
        assert [status(web, job) for job in some] == [later] * len(some)
    if claim == "foreign":
        sent = [OTHER if job in some else data for job, data in zip(jobs, sent, strict=True)]
    told = posted(web, path, sent, headers)
    asked = left.requests()
    for one, job in zip(told, jobs, strict=True):
        if job not in some:
            assert (one["job"], one["status"], job in asked) == (job, "queued", False)
        elif claim == "foreign":
            assert f"{one['status']} `{one['code']}`" == again
        else:
            finished = result == "stored" and claim != "none" and path != "/v1/jobs"
            assert one["status"] == ("succeeded" if finished else "queued")
            assert (one["job"] == job) == again.startswith("same job")
            assert (one["job"] in asked) == again.endswith(", sent")
            left.check_end(web, one["job"], some[job], one["job"] in asked)


@pytest.mark.parametrize(("upload", "image", "result", "again", "later"), DIRECT)
def test_what_a_presigned_upload_has_left_is_answered(
    web: Web, left: Left, upload: str, image: str, result: str, again: str, later: str
) -> None:
    target = web.post("/v1/uploads").json()
    job = target["upload"]
    if upload == "stored":
        form = {"files": {"file": ("photo.png", IMAGES[0])}, "data": target["fields"]}
        assert requests.post(target["url"], timeout=60, **form).ok
    left.image(job, image, IMAGES[0])
    if result == "stored":
        left.result(job, IMAGES[0])
    assert status(web, job) == later
    answer = web.post("/v1/jobs", json={"upload": job})
    asked = left.requests()
    if again.startswith("404"):
        assert f"{answer.status_code} `{answer.json()['code']}`" == again
        assert asked == []
        return
    assert (answer.status_code, answer.json()["job"]) == (202, job)
    assert asked == ([job] if again.endswith(", sent") else [])
    assert status(web, job) == ("200" if result == "stored" else "202")


def test_result_that_is_gone_is_told_by_the_process_that_had_it(web: Web, left: Left) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    with stand_in(left.aws):
        first = web.post("/v1/classify?wait=20", data=IMAGES[0], headers=headers).json()
        job = first["job"]
        left.aws.s3.delete_object(Bucket=BUCKETS[1], Key=f"results/{job}.json")
        assert status(web, job) == "410 `gone`"
        again = web.post("/v1/classify?wait=20", data=IMAGES[0], headers=headers).json()
    assert (again["job"], again["label"]) == (job, first["label"])
    assert status(web, job) == "200"


def test_upload_that_comes_again_after_a_503_is_answered(
    aws: Cloud, left: Left, tmp_path: Path
) -> None:
    with (
        fault_proxy(aws.endpoint_url) as proxy,
        web_daemon(aws.behind(proxy.url), tmp_path, {"AWS_MAX_ATTEMPTS": "1"}) as web,
    ):
        jobs = [
            refused_and_repeated(web, proxy, service, faults, path)
            for service in ("SQS", "S3")
            for faults in (Faults(error=1.0), Faults(lost_answer=1.0))
            for path in ("/v1/jobs", "/v1/classify?wait=0")
        ]
        with stand_in(aws):
            labels = [web.get(f"/v1/jobs/{job}?wait=20").json()["label"] for job in jobs]
    assert labels == [label_of(IMAGES[0])] * len(jobs)


def refused_and_repeated(
    web: Web, proxy: FaultProxy, service: str, faults: Faults, path: str
) -> str:
    """Have an upload fail, send it again, and tell its job."""
    headers = {"Idempotency-Key": uuid4().hex}
    proxy.faults = {service: faults}
    assert web.post(path, data=IMAGES[0], headers=headers).status_code == 503
    proxy.faults = {}
    return str(web.post(path, data=IMAGES[0], headers=headers).json()["job"])
