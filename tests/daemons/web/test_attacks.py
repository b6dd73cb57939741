"""Attacks on a real web daemon, which keeps answering good requests meanwhile."""

import http.client
import threading
import time
from collections.abc import Iterator

import pytest

from testkit import ROOT
from testkit.aws.embedded import Cloud, cloud
from testkit.classifier.instant_worker import instant_worker
from testkit.classifier.stand_in import label_of
from testkit.images.pictures import encoded, numbered
from testkit.processes.memory import resident_mib
from testkit.web.attacks import ATTACKS, Target
from testkit.web.daemon import Web, web_daemon
from visionfleet.auth import api_keys, key_file

IMAGE = encoded(numbered(0))
DOCUMENT = ROOT / "docs" / "security.md"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("aws")) as made, instant_worker(made):
        yield made


@pytest.fixture(scope="module")
def attacked(aws: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Web, Target]]:
    folder = tmp_path_factory.mktemp("web")
    key, kept = api_keys.make("good", bytes(53), time.time(), None)
    with key_file.edit(folder / "keys") as found:
        found[kept.id] = kept
    with web_daemon(aws, folder, WEB__KEYS_FILE=str(folder / "keys")) as web:
        yield web, Target(web.port, key)


class Good(threading.Thread):
    """A client that sends good requests, one after the other, each on its own connection."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target
        self.over = threading.Event()
        self.seconds: list[float] = []
        self.failures: list[str] = []

    def run(self) -> None:
        while not self.over.is_set() or len(self.seconds) < 5:
            started = time.monotonic()
            try:
                self._ask()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                return
            self.seconds.append(time.monotonic() - started)
            self.over.wait(0.05)

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._target.port, timeout=30)
        connection.request("POST", "/", IMAGE, {"X-API-Key": self._target.key})
        answer = connection.getresponse()
        text = answer.read().decode()
        if (answer.status, text) != (200, label_of(IMAGE)):
            self.failures.append(f"{answer.status} {text}")
        connection.close()


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_do_not_harm_other_clients(attacked: tuple[Web, Target], attack: str) -> None:
    web, target = attacked
    good = Good(target)
    good.start()
    try:
        came_back = ATTACKS[attack](target)
    finally:
        good.over.set()
        good.join()
    print(f"| {attack} | {came_back} |  good: {len(good.seconds)}, worst {max(good.seconds):.2f} s")
    assert good.failures == []
    assert f"| {attack} | {came_back} |" in DOCUMENT.read_text()
    assert web.process.running
    assert "Traceback" not in web.process.output()
    assert resident_mib(web.process.pid) < 300
