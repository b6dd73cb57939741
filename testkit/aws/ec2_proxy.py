"""A proxy in front of the embedded AWS that launches as EC2 does.

The embedded AWS ignores ClientToken, and launches MinCount instances in place of up to MaxCount.
"""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlencode

from testkit.aws.counting_proxy import CountingProxy, ForwardingHandler, serving


class Ec2Proxy(CountingProxy):
    """Forwards all; `tokens` has the answer to each launch, `launches` the form of each call. With
    `spot_refusal`, a code, spot refuses all that is no rehearsal.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream, Ec2Handler)
        self.tokens: dict[str, tuple[http.client.HTTPResponse, bytes]] = {}
        self.launches: list[dict[str, str]] = []
        self.spot_refusal = ""
        self.lock = threading.Lock()


class Ec2Handler(ForwardingHandler):
    """Honours the token and the count of a launch."""

    server: Ec2Proxy

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        form = {key: values[0] for key, values in parse_qs(body.decode("latin-1")).items()}
        spot = "InstanceMarketOptions.MarketType" in form and "DryRun" not in form
        if spot and self.server.spot_refusal:
            self.server.launches.append(form)
            self._refuse(self.server.spot_refusal)
        elif self.command == "POST" and form.get("Action") == "RunInstances":
            self.relay(*self._launch(form))
        else:
            self.relay(*self.ask(body))

    def _launch(self, form: dict[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
        dry = "DryRun" in form
        with self.server.lock:
            if dry or form["ClientToken"] not in self.server.tokens:
                changed = urlencode(form | {"MinCount": form["MaxCount"]}).encode()
                self.headers.replace_header("Content-Length", str(len(changed)))
                answer = self.ask(changed)
                if dry or answer[0].status != 200:
                    return answer
                self.server.tokens[form["ClientToken"]] = answer
            self.server.launches.append(form)
            return self.server.tokens[form["ClientToken"]]

    def _refuse(self, code: str) -> None:
        error = f"<Error><Code>{code}</Code><Message>There is none.</Message></Error>"
        body = f"<Response><Errors>{error}</Errors><RequestID>r</RequestID></Response>".encode()
        self.send_response(500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815


@contextmanager
def ec2_proxy(upstream: str) -> Iterator[Ec2Proxy]:
    """Run the proxy for the length of a with block."""
    with Ec2Proxy(upstream) as server, serving(server):
        yield server
