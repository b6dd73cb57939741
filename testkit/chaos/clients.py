"""Clients of a service in chaos: they upload, try again, and keep what they were promised."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from random import Random

TRIES_SECONDS = 15.0  # for one answer; a web process may be frozen
RETRY = "tried again"
REPEATED = "key repeated later"
AT_ONCE = "key sent twice at once"
UPLOAD_CUT = "upload cut off"
NOT_AWAITED = "answer not awaited"
COUNTED = (RETRY, REPEATED, AT_ONCE, UPLOAD_CUT, NOT_AWAITED)
HANG_UPS = 0.03  # of all tries, of either kind
_AGAIN = {429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Answer:
    status: int
    document: Mapping[str, object]


def ask(port: int, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Make one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TRIES_SECONDS)
    try:
        connection.request(method, path, body or None, dict(headers))
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    return Answer(answer.status, json.loads(content))


def hang_up(port: int, path: str, body: bytes, sent: int, headers: Mapping[str, str]) -> None:
    """Send so many bytes of an upload, and await no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TRIES_SECONDS)
    with suppress(OSError), closing(connection):
        length = {"Content-Length": str(len(body))}
        connection.request("POST", path, body[:sent], {**headers, **length})


@dataclass
class Promises:
    """What clients were told: the jobs of each upload, and answers at odds with the uploads."""

    jobs: dict[int, set[str]] = field(default_factory=dict)
    surprises: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(COUNTED, 0)))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def accepted(self, number: int, job: str) -> None:
        with self.lock:
            self.jobs.setdefault(number, set()).add(job)

    def surprised(self, what: str) -> None:
        with self.lock:
            self.surprises.append(what)

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1


@dataclass
class Clients:
    """Threads that take one upload after another, as many as are allowed so far."""

    ports: list[int]
    image: Callable[[int], bytes]
    label: Callable[[int], str]
    jobs: int
    seed: int
    promises: Promises = field(default_factory=Promises)
    stop: threading.Event = field(default_factory=threading.Event)
    _allowed: int = 0
    _next: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def allow(self, jobs: int) -> None:
        with self._changed:
            self._allowed = jobs
            self._changed.notify_all()

    def run(self, client: int) -> None:
        random = Random(f"{self.seed} {client}")
        while (number := self._take()) is not None:
            self._upload(number, random)

    def done(self) -> bool:
        with self.promises.lock:
            return len(self.promises.jobs) == self.jobs

    def _take(self) -> int | None:
        with self._changed:
            self._changed.wait_for(lambda: self._next < self._allowed or self.stop.is_set())
            if self.stop.is_set() or self._next >= self.jobs:
                return None
            self._next += 1
            return self._next - 1

    def _upload(self, number: int, random: Random) -> None:
        """Every third upload has a key; of these, every fourth is sent once more, and another
        fourth twice at the same time."""
        if number % 12 == 6:
            self._at_once(number, random)
        else:
            self._until_accepted(number, random)
        if number % 12 == 0 and not self.stop.is_set():
            self.promises.count(REPEATED)
            self._until_accepted(number, random)

    def _at_once(self, number: int, random: Random) -> None:
        self.promises.count(AT_ONCE)
        other = Random(random.random())
        twin = threading.Thread(target=self._until_accepted, args=(number, other))
        twin.start()
        self._until_accepted(number, random)
        twin.join()

    def _until_accepted(self, number: int, random: Random) -> None:
        key = {"Idempotency-Key": f"chaos-{self.seed}-{number}"} if number % 3 == 0 else {}
        path = "/v1/classify?wait=2" if number % 2 else "/v1/jobs"
        headers = {"Content-Type": "image/png", **key}
        for wait in (min(0.2 * 2**n, 3.0) for n in range(1000)):
            answer = self._try(number, path, headers, random)
            if answer is not None and answer.status not in _AGAIN:
                self._note(number, answer)
                return
            self.promises.count(RETRY)
            if self.stop.wait(wait * random.uniform(0.5, 1.0)):
                return

    def _try(
        self, number: int, path: str, headers: Mapping[str, str], random: Random
    ) -> Answer | None:
        """Upload once: None where there is no answer, or a part of one."""
        port, image, draw = random.choice(self.ports), self.image(number), random.random()
        if draw < 2 * HANG_UPS:
            sent = len(image) if draw < HANG_UPS else random.randrange(len(image))
            self.promises.count(NOT_AWAITED if sent == len(image) else UPLOAD_CUT)
            hang_up(port, path, image, sent, headers)
            return None
        try:
            return ask(port, "POST", path, image, headers)
        except (OSError, http.client.HTTPException, ValueError):
            return None

    def _note(self, number: int, answer: Answer) -> None:
        job = answer.document.get("job")
        if answer.status not in (200, 202) or not isinstance(job, str):
            self.promises.surprised(f"upload {number}: {answer}")
            return
        self.promises.accepted(number, job)
        if answer.status == 200 and answer.document.get("label") != self.label(number):
            self.promises.surprised(f"upload {number} was told another's answer: {answer}")


@contextmanager
def running(clients: Clients, count: int) -> Iterator[Clients]:
    """Run them on threads for the length of a with block."""
    threads = [threading.Thread(target=clients.run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        clients.stop.set()
        clients.allow(clients.jobs)
        for thread in threads:
            thread.join()


def outcome_of(ports: list[int], job: str) -> Answer | None:
    """Ask for a job until some web process answers, for two minutes at most."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for port in ports:
            try:
                answer = ask(port, "GET", f"/v1/jobs/{job}", b"", {})
            except (OSError, http.client.HTTPException, ValueError):
                continue
            if answer.status not in _AGAIN:
                return answer
        time.sleep(0.2)
    return None
