"""Many at once: a thousand who wait in one process, hundreds of uploads and a kill.

`UPLOADS=2000` in the environment gives the long form.
"""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from testkit.aws.embedded import Cloud, emptied
from testkit.classifier.instant_worker import instant_worker
from testkit.classifier.stand_in import label_of
from testkit.images.pictures import encoded, numbered
from testkit.processes.memory import resident_mib
from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until
from testkit.web.daemon import Web, web_daemon

pytestmark = pytest.mark.timeout(900)

WAITING = 1000
UPLOADS = int(os.environ.get("UPLOADS", "500"))
CLIENTS = 16


@pytest.fixture(scope="module")
def aws(running_aws: Cloud) -> Cloud:
    return emptied(running_aws, {"VisibilityTimeout": "120"})


def threads_of(web: Web) -> int:
    return len(list(Path(f"/proc/{web.process.pid}/task").iterdir()))


async def send(port: int, image: bytes) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(image)}"
    writer.write(head.encode() + b"\r\nConnection: close\r\n\r\n" + image)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head_, _, body = answer.partition(b"\r\n\r\n")
    return int(head_.split()[1]), body


def test_thousand_clients_wait_at_once(aws: Cloud, tmp_path: Path) -> None:
    images = [encoded(numbered(i)) for i in range(WAITING)]
    answers: list[tuple[int, bytes]] = []
    with instant_worker(aws, held=True) as fleet, web_daemon(aws, tmp_path) as web:
        web.post("/v1/jobs", data=images[0])  # what is loaded at the first use is there
        before = resident_mib(web.process.pid)

        async def crowd() -> None:
            answers.extend(await asyncio.gather(*(send(web.port, image) for image in images)))

        clients = threading.Thread(target=asyncio.run, args=(crowd(),))
        clients.start()
        accepted = WAITING + 1
        wait_until(
            lambda: web.process.output().count("job accepted") == accepted,
            300,
            interval_seconds=0.25,
        )
        resident, threads = resident_mib(web.process.pid), threads_of(web)
        assert web.get("/healthz").ok
        fleet.gate.set()
        clients.join()
    assert [code for code, _ in answers] == [200] * WAITING
    assert [text.decode() for _, text in answers] == [label_of(image) for image in images]
    assert resident < 200
    assert threads < 50, "32 for AWS, and none for those who wait"
    each = (resident - before) * 1024 / WAITING
    print(f"{WAITING} waiting: {resident:.0f} MiB, {threads} threads, {each:.0f} KiB each")


class Clients:
    """Some clients at once, each with a connection of its own that it keeps."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._own = threading.local()
        self.pool = ThreadPoolExecutor(CLIENTS, initializer=self._begin)

    def _begin(self) -> None:
        self._own.session = requests.Session()

    def upload(self, image: bytes) -> requests.Response:
        answer: requests.Response = self._own.session.post(self._url, data=image, timeout=60)
        return answer

    def label(self, job: str) -> str:
        answer = self._own.session.get(f"{self._url}/{job}?wait=120", timeout=150)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["label"])


def test_killed_process_loses_no_accepted_job(aws: Cloud, tmp_path: Path) -> None:
    port = free_port()
    shared = {"WEB__PORT": str(port), "WEB__SHARE_PORT": "true"}
    clients = Clients(f"http://127.0.0.1:{port}/v1/jobs")
    picture = encoded(numbered(0, side=185), compress_level=0)
    assert 100_000 < len(picture) < 110_000
    jobs: dict[str, str] = {}
    refused: list[int] = []
    cut: list[int] = []

    def upload(number: int) -> None:
        image = picture + number.to_bytes(4)
        try:
            answer = clients.upload(image)
        except requests.ConnectionError:
            cut.append(number)
            return
        if answer.status_code == 202:
            jobs[answer.json()["job"]] = label_of(image)
        else:
            refused.append(answer.status_code)

    with ExitStack() as running, instant_worker(aws):
        webs = [running.enter_context(web_daemon(aws, tmp_path, **shared)) for _ in range(2)]
        with clients.pool as pool:
            work = [pool.submit(upload, number) for number in range(UPLOADS)]
            wait_until(lambda: len(jobs) >= UPLOADS // 2, 400)
            webs[0].process.kill()
            for one in work:
                one.result()
            assert not refused
            assert len(jobs) + len(cut) == UPLOADS
            assert len(cut) <= CLIENTS, "no more than were under way"
            assert list(pool.map(clients.label, jobs)) == list(jobs.values())
    print(f"{len(jobs)} accepted, all answered; {len(cut)} connections were cut by the kill")
