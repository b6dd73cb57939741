"""Clients that send requests without a pause and count what went wrong."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from testkit.classifier.stand_in import label_of

HEADERS = {"Content-Type": "image/png"}


@dataclass
class ClientLoad:
    """What the clients saw: `failures` holds a sentence for each request that failed."""

    port: int
    image: bytes
    path: str = "/v1/classify?wait=25"
    stop: threading.Event = field(default_factory=threading.Event)
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, keep: bool) -> None:
        """Send until stopped, with one connection or with one per request."""
        connection = self.connect()
        while not self.stop.is_set():
            try:
                self.ask(connection)
                answer = connection.getresponse()
                self.note(answer.status, answer.read())
            except (OSError, http.client.HTTPException) as error:
                with self.lock:
                    self.failures.append(f"{'kept' if keep else 'new'} connection: {error!r}")
                connection.close()
            if not keep:
                connection.close()
        connection.close()

    def ask(self, connection: http.client.HTTPConnection) -> None:
        if self.image:
            connection.request("POST", self.path, self.image, HEADERS)
        else:
            connection.request("GET", self.path)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def note(self, status: int, body: bytes) -> None:
        with self.lock:
            self.answered += 1
            right = status == 200
            if right and self.image:
                right = json.loads(body)["label"] == label_of(self.image)
            if not right:
                self.failures.append(f"{status} {body[:200]!r}")


@contextmanager
def client_load(port: int, image: bytes, new: int, kept: int) -> Iterator[ClientLoad]:
    """Run `new` clients with a connection per request and `kept` with one that they keep.

    Without an image they ask for the health: many more requests, to meet short moments.
    """
    made = ClientLoad(port, image) if image else ClientLoad(port, b"", "/healthz")
    clients = [threading.Thread(target=made.run, args=(False,)) for _ in range(new)]
    clients += [threading.Thread(target=made.run, args=(True,)) for _ in range(kept)]
    for client in clients:
        client.start()
    try:
        yield made
    finally:
        made.stop.set()
        for client in clients:
            client.join()
