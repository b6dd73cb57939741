"""A hundred clients at once, as the oldest load generators do it."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests

from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.stack import Stack, stack
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch

CLIENTS = 100


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    pictures = [numbered(i) for i in range(CLIENTS)]
    labels = [f"label-{i}" for i in range(CLIENTS)]
    model = table_model(tmp_path_factory.mktemp("table"), pictures, labels, busy_rounds=10)
    with stack({**model, "VISIONFLEET_SCALER__MAXIMUM": "2"}) as made:
        yield made


def test_hundred_clients_with_one_file_name_get_their_own(running: Stack) -> None:
    """One connection each, no retry, no timeout; every file is called the same."""
    peak, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            peak[0] = max(peak[0], len(workers(running)))

    def upload(number: int) -> tuple[int, str]:
        files = {"myfile": ("test.png", encoded(numbered(number)))}
        answer = requests.post(running.url + "/", files=files)
        return answer.status_code, answer.text

    def left(queue: str) -> int:
        return sum(running.aws.counts(queue))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(upload, range(CLIENTS)))
    over.set()
    watcher.join()

    assert answers == [(200, f"label-{i}") for i in range(CLIENTS)]
    assert len(running.aws.keys("images/", "visionfleet-input")) == CLIENTS
    assert len(running.aws.keys("results/")) == CLIENTS
    wait_until(lambda: running.aws.counts() == (0, 0), 30, "the requests are gone")
    replies = running.aws.sqs.list_queues(QueueNamePrefix="visionfleet-replies-")["QueueUrls"]
    names = [url.rsplit("/", 1)[-1] for url in replies]
    assert names, "the web daemon has a queue"
    wait_until(lambda: not any(map(left, names)), 30, "replies are gone")
    assert running.aws.counts("visionfleet-requests-dead") == (0, 0)
    assert 1 <= peak[0] <= 2, "workers within the maximum"


def workers(running: Stack) -> set[str]:
    """Names of the workers that run; a child between its fork and its exec has a worker's line."""
    lines = map(str.split, running.commands().values())
    return {line[-1] for line in lines if line[-2:-1] == ["--worker"]}


def test_hundred_uploads_survive_a_kill_of_every_worker(running: Stack) -> None:
    """Workers are killed while they have jobs in flight; each job ends in one result."""
    before = len(running.aws.keys("results/"))
    jobs = {}
    for i in range(40):
        files = {"file": ("same.png", encoded(numbered(i)))}
        answer = requests.post(f"{running.url}/v1/jobs", files=files, timeout=30)
        assert answer.status_code == 202
        jobs[answer.json()["job"]] = f"label-{i}"
    wait_until(lambda: len(running.aws.keys("results/")) > before, 60, "work has begun")
    killed = running.pids("visionfleet-classifier")
    for pid in killed:
        with suppress(ProcessLookupError):  # a child of one that was killed
            os.kill(pid, signal.SIGKILL)
    for job, label in jobs.items():
        answer = requests.get(f"{running.url}/v1/jobs/{job}?wait=120", timeout=130)
        assert (answer.status_code, answer.json()["label"]) == (200, label)
    assert len(running.aws.keys("results/")) == before + 40
    assert killed
    wait_until(lambda: running.aws.counts() == (0, 0), 60, "the requests are gone")


def test_killed_web_daemon_loses_no_job(running: Stack) -> None:
    jobs = {}
    for i in range(20):
        files = {"file": ("same.png", encoded(numbered(i)))}
        answer = requests.post(f"{running.url}/v1/jobs", files=files, timeout=30)
        jobs[answer.json()["job"]] = f"label-{i}"
    wait_until(lambda: len(running.pids("visionfleet-web")) == 1, 30, "one web daemon")
    (old,) = running.pids("visionfleet-web")
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: running.pids("visionfleet-web") not in ([old], []), 30, "a new web daemon")
    wait_until(lambda: up(running), 30, "the new web daemon is ready")
    for job, label in jobs.items():
        answer = requests.get(f"{running.url}/v1/jobs/{job}?wait=60", timeout=70)
        assert (answer.status_code, answer.json()["label"]) == (200, label)


def up(running: Stack) -> bool:
    try:
        return requests.get(f"{running.url}/readyz", timeout=5).status_code == 200
    except (requests.ConnectionError, requests.Timeout):
        return False
