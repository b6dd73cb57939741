"""The result cache: keyed by the bytes and the model, never crossing models."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testkit.aws.embedded import BUCKETS, NAME, Cloud
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.waiting import wait_until
from testkit.web.daemon import Web, web_daemon

IMAGE, OTHER = encoded(numbered(0)), encoded(numbered(1))


@pytest.fixture
def web(aws: Cloud, tmp_path: Path) -> Iterator[Web]:
    with web_daemon(aws, tmp_path, WEB__CACHE="true", RESULTS__BY_NAME="true") as made:
        yield made


def kept(aws: Cloud, count: int = 1) -> list[str]:
    prefix = "results/by-content/"
    wait_until(lambda: len(aws.keys(prefix)) == count, 30, lambda: str(aws.keys(prefix)))
    return aws.keys(prefix)


def report(aws: Cloud, worker: str, fingerprint: str, age: float = 0.0) -> None:
    """Report as a worker does."""
    at = time.time() - age
    body: dict[str, Any] = {"v": 1, "worker": worker, "state": "idle", "since": at, "host": "h"}
    body |= {"reported_at": at, "started_at": at, "version": "0"}
    body["model"] = {"name": "default", "fingerprint": fingerprint}
    aws.s3.put_object(Bucket=BUCKETS[1], Key=f"fleet/workers/{worker}.json", Body=json.dumps(body))


def test_cached_result_answers_the_same_bytes(aws: Cloud, web: Web) -> None:
    with stand_in(aws) as fleet:
        first = web.post("/v1/classify", files={"f": ("secret.png", IMAGE)}).json()
        (key,) = kept(aws)
        assert key.endswith("/0000.json")
        assert b"secret" not in (aws.object(key) or b"")
        again = web.post("/v1/classify?top=2", files={"f": ("mine.png", IMAGE)}).json()
        assert len(fleet.handled) == 1
    assert again["label"] == first["label"] == label_of(IMAGE)
    assert again["job"] != first["job"]
    assert (again["file_name"], again["attempts"], len(again["top"])) == ("mine.png", 0, 2)
    assert web.get(f"/v1/jobs/{again['job']}").json() == again, "its result lasts as any other"
    assert aws.object("results/by-name/mine") == label_of(IMAGE).encode()
    job = web.post("/v1/jobs", data=IMAGE).json()["job"]
    assert web.get(f"/v1/jobs/{job}").json()["label"] == label_of(IMAGE)
    assert web.post("/", data=IMAGE).text == label_of(IMAGE)
    assert aws.receive(f"{NAME}-requests") == []


def test_cache_misses_on_a_longer_ranking_or_other_bytes(aws: Cloud, web: Web) -> None:
    with stand_in(aws) as fleet:
        web.post("/v1/classify?top=2", data=IMAGE)
        kept(aws)
        longer = web.post("/v1/classify?top=5", data=IMAGE).json()
        assert len(longer["top"]) == 5
        assert web.post("/", data=OTHER).text == label_of(OTHER)
        assert len(fleet.handled) == 3


def test_cache_follows_a_model_switch(aws: Cloud, tmp_path: Path) -> None:
    with stand_in(aws) as fleet:
        with web_daemon(aws, tmp_path, WEB__CACHE="true") as web:
            web.post("/", data=IMAGE)
            kept(aws)
            web.post("/", data=IMAGE)
            assert len(fleet.handled) == 1
        report(aws, "new", "1111")
        with web_daemon(aws, tmp_path, WEB__CACHE="true") as web:  # it has not read the reports yet
            web.post("/", data=IMAGE)
            assert len(fleet.handled) == 2, "what the old model said does not count"


def test_cache_is_off_while_two_models_are_active(aws: Cloud, tmp_path: Path) -> None:
    report(aws, "old", "0000")
    report(aws, "new", "1111")
    with stand_in(aws) as fleet, web_daemon(aws, tmp_path, WEB__CACHE="true") as web:
        for _ in range(2):
            web.post("/", data=IMAGE)
        assert len(fleet.handled) == 2


def test_cache_ignores_a_model_not_reported_for_long(aws: Cloud, tmp_path: Path) -> None:
    with stand_in(aws) as fleet:
        with web_daemon(aws, tmp_path, WEB__CACHE="true") as web:
            web.post("/", data=IMAGE)
            kept(aws)
        report(aws, "gone", "0000", age=200)
        with web_daemon(aws, tmp_path, WEB__CACHE="true") as web:
            web.post("/", data=IMAGE)
        assert len(fleet.handled) == 2
        report(aws, "alive", "0000")
        with web_daemon(aws, tmp_path, WEB__CACHE="true") as web:
            web.post("/", data=IMAGE)
        assert len(fleet.handled) == 2


def test_broken_cache_entry_is_a_miss(aws: Cloud, web: Web) -> None:
    with stand_in(aws) as fleet:
        web.post("/", data=IMAGE)
        (key,) = kept(aws)
        aws.s3.put_object(Bucket=BUCKETS[1], Key=key, Body=b"\xff")
        assert web.post("/", data=IMAGE).text == label_of(IMAGE)
        assert len(fleet.handled) == 2


def test_cache_is_off_without_its_setting(aws: Cloud, tmp_path: Path) -> None:
    with stand_in(aws) as fleet, web_daemon(aws, tmp_path) as web:
        for _ in range(2):
            web.post("/", data=IMAGE)
        assert len(fleet.handled) == 2
        assert aws.keys("results/by-content/") == []
