"""A proxy in front of the embedded AWS that makes objects older than they are."""

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from urllib.parse import urlsplit

from testkit.aws.counting_proxy import CountingProxy, ForwardingHandler, serving


class AgingProxy(CountingProxy):
    """`ages` are in seconds, by bucket and key; an object that is written anew has none."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream, AgingHandler)
        self.ages: dict[str, float] = {}


class AgingHandler(ForwardingHandler):
    """One connection; only HEAD tells the age of an object."""

    server: AgingProxy

    def ask(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        answer, content = super().ask(body)
        name = urlsplit(self.path).path.strip("/")
        if self.command == "PUT":
            self.server.ages.pop(name, None)
        if self.command == "HEAD" and name in self.server.ages:
            del answer.headers["Last-Modified"]
            aged = formatdate(time.time() - self.server.ages[name], usegmt=True)
            answer.headers["Last-Modified"] = aged
        return answer, content


@contextmanager
def aging_proxy(upstream: str) -> Iterator[AgingProxy]:
    """Run one for the length of a with block."""
    with AgingProxy(upstream) as server, serving(server):
        yield server
