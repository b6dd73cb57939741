"""Admission control of a real web daemon: uploads refused while there is too much to do."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from testkit.aws.embedded import BUCKETS, Cloud
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.memory import resident_mib
from testkit.processes.waiting import wait_until
from testkit.web.daemon import Web, web_daemon

MIB = 1 << 20
IMAGE = encoded(numbered(0))


def overloaded(answer: requests.Response) -> int:
    """Expect a refusal, and return when to come back."""
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded"), answer.text
    return int(answer.headers["Retry-After"])


def write_status(aws: Cloud, **more: Any) -> None:
    """Write a status as the scaler does."""
    fixed = {"v": 1, "at": time.time(), "visible": 0, "in_flight": 0, "minimum": 0}
    status = {**fixed, "decision": "", "decided_at": 0.0, "history": [], **more}
    aws.s3.put_object(Bucket=BUCKETS[1], Key="fleet/status.json", Body=json.dumps(status))


def test_too_many_waiting_requests_are_refused(aws: Cloud, tmp_path: Path) -> None:
    answers: list[requests.Response] = []
    with stand_in(aws, held=True) as fleet, web_daemon(aws, tmp_path, WEB__MAX_WAITING="2") as web:
        clients = [
            threading.Thread(target=lambda: answers.append(web.post("/", data=IMAGE)))
            for _ in range(2)
        ]
        for client in clients:
            client.start()
        wait_until(lambda: web.process.output().count("job accepted") == 2, 20)
        assert overloaded(web.post("/", data=IMAGE)) >= 1
        assert web.get("/readyz").ok, "it is alive, and has work"
        fleet.gate.set()
        for client in clients:
            client.join()
        assert web.post("/", data=IMAGE).text == label_of(IMAGE)
    assert [answer.status_code for answer in answers] == [200, 200]


@contextmanager
def slow_upload(web: Web, large: bytes) -> Iterator[None]:
    """An upload that does not end, and leaves no room for another.

    Nothing is set aside for what is only declared: it counts once it has come. On a busy machine
    the other upload may come sooner, and it is the slow one whose bytes are dropped.
    """
    for _ in range(5):
        with web.connect() as slow:
            slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3900000\r\n\r\n")
            slow.sendall(large[:-100])
            if any(web.post("/", data=large).status_code == 503 for _ in range(3)):
                yield
                return
    pytest.fail("the slow upload is never counted")


def test_uploads_beyond_the_memory_budget_are_refused(aws: Cloud, tmp_path: Path) -> None:
    large = encoded(numbered(1, side=1000), compress_level=0)
    assert 2 * MIB < len(large) < 4 * MIB
    with stand_in(aws), web_daemon(aws, tmp_path, WEB__MAX_HELD_BYTES=str(4 * MIB)) as web:
        assert web.post("/", data=large).text == label_of(large)
        with slow_upload(web, large):
            assert overloaded(web.post("/", data=large)) == 2
            assert overloaded(web.post("/", data=iter([large]))) == 2, "also without a length"
            assert web.post("/", data=IMAGE).text == label_of(IMAGE), (
                "there is room for a small one"
            )
        wait_until(lambda: web.post("/", data=large).ok, 30, "its bytes to be let go")


def test_long_queue_is_429(aws: Cloud, tmp_path: Path) -> None:
    settings = {"WEB__MAX_QUEUE_SECONDS": "30", "SCALER__SERVICE_SECONDS": "10"}
    write_status(aws, maximum=2, states={"busy": 2})
    with web_daemon(aws, tmp_path, **settings) as web:

        def send() -> requests.Response:
            return web.post("/v1/jobs", data=IMAGE)

        for _ in range(10):  # 50 s of work for two workers
            assert send().status_code == 202
        (answer,) = wait_until(lambda: refused(send()), 30, interval_seconds=0.5)
        wait = int(re.findall(r"would wait for about (\d+) s", answer.json()["detail"])[0])
        assert 30 < wait < 150
        assert abs(overloaded(answer) - (wait - 30)) <= 1
        with stand_in(aws):
            wait_until(lambda: send().status_code == 202, 40, interval_seconds=0.5)


def refused(answer: requests.Response) -> list[requests.Response]:
    return [answer] if answer.status_code == 503 else []


def test_api_key_is_checked_before_admission(aws: Cloud, tmp_path: Path) -> None:
    """A large upload without a key is read, kept nowhere, and told why: no broken connection."""
    (tmp_path / "keys").write_text(line())
    with web_daemon(aws, tmp_path, WEB__KEYS_FILE=str(tmp_path / "keys")) as web:
        before = resident_mib(web.process.pid)
        answer = web.post("/v1/jobs", data=bytes(60 * MIB))
        assert (answer.status_code, answer.json()["code"]) == (401, "no_key")
        assert resident_mib(web.process.pid) - before < 20


def line() -> str:
    fields = {"id": "0" * 10, "name": "a", "salt": "0" * 32, "sha256": "0" * 64, "created_at": 0}
    return json.dumps(fields) + "\n"


def test_large_form_does_not_delay_others(aws: Cloud, tmp_path: Path) -> None:
    large = encoded(numbered(2, side=2580), compress_level=0)
    assert 19 * MIB < len(large) < 20 * MIB
    files = [("f", (f"{i}.png", large)) for i in range(4)]
    form = requests.Request("POST", "http://x/", files=files).prepare()
    pauses: list[float] = []
    over = threading.Event()

    def watch(web: Web) -> None:
        with requests.Session() as kept:
            while not over.is_set():
                started = time.monotonic()
                kept.get(f"{web.url}/healthz", timeout=20)
                pauses.append(time.monotonic() - started)

    with web_daemon(aws, tmp_path) as web:
        watcher = threading.Thread(target=watch, args=(web,))
        watcher.start()
        answer = web.post("/v1/jobs", data=form.body, headers=dict(form.headers))
        over.set()
        watcher.join()
        peak = resident_mib(web.process.pid, peak=True)
    assert [one["status"] for one in answer.json()["jobs"]] == ["queued"] * 4
    pauses.sort()
    print(f"80 MB form: {pauses[-1]:.3f} s the longest of {len(pauses)}, peak {peak:.0f} MiB")
    assert peak < 400


def test_slow_upload_is_not_an_attack(aws: Cloud, tmp_path: Path) -> None:
    """Three KiB a second for longer than the pace is looked at: it is taken."""
    image = encoded(numbered(3, side=110), compress_level=0)
    assert 36_000 < len(image) < 37_000
    pace = threading.Event()

    def dripping() -> Iterator[bytes]:
        for start in range(0, len(image), 1500):
            pace.wait(0.5)
            yield image[start : start + 1500]

    with stand_in(aws), web_daemon(aws, tmp_path) as web:
        started = time.monotonic()
        assert web.post("/", data=dripping()).text == label_of(image)
        assert time.monotonic() - started > 11
