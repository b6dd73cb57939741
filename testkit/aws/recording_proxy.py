"""A proxy in front of the embedded AWS that keeps every request."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from testkit.aws.counting_proxy import CountingProxy, ForwardingHandler, serving
from testkit.aws.iam_requests import SignedRequest


class RecordingProxy(CountingProxy):
    """Forwards all; `seen` are the requests in order. `spoil` may let one fail as AWS does."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream, RecordingHandler)
        self.seen: list[SignedRequest] = []
        self.spoil: Callable[[SignedRequest], bool] = lambda _: False


class RecordingHandler(ForwardingHandler):
    """One connection."""

    server: RecordingProxy

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = SignedRequest(self.command, self.path, headers, body, 0)
        if self.server.spoil(asked):
            self.server.seen.append(asked)
            self.send_error(503)
            return
        answer, content = self.ask(body)
        self.server.seen.append(
            SignedRequest(self.command, self.path, headers, body, answer.status)
        )
        self.relay(answer, content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815


@contextmanager
def recording_proxy(upstream: str) -> Iterator[RecordingProxy]:
    """Run a recorder for the length of a with block."""
    with RecordingProxy(upstream) as server, serving(server):
        yield server
