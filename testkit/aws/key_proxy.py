"""A proxy in front of the embedded AWS that accepts one access key, as AWS does."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from testkit.aws.counting_proxy import CountingProxy, ForwardingHandler, serving


class KeyProxy(CountingProxy):
    """Forwards calls signed with `accepted`, refuses others with `code`; `keys` are those seen."""

    def __init__(self, upstream: str, accepted: str, code: str) -> None:
        super().__init__(upstream, KeyHandler)
        self.accepted, self.code = accepted, code
        self.keys: list[str] = []


class KeyHandler(ForwardingHandler):
    """One connection."""

    server: KeyProxy

    def forward(self) -> None:
        (key,) = re.findall(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        self.server.keys.append(key)
        if key == self.server.accepted:
            super().forward()
            return
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = self.refusal()
        self.send_response(403)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def refusal(self) -> bytes:
        code = self.server.code
        if self.operation.startswith("SQS"):
            return json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": "no"}).encode()
        return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815


@contextmanager
def key_proxy(upstream: str, accepted: str, code: str) -> Iterator[KeyProxy]:
    """Run the proxy for the length of a with block."""
    with KeyProxy(upstream, accepted, code) as server, serving(server):
        yield server
