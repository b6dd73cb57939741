"""A CloudFormation that notes the signals it is sent, or refuses them with a code of AWS."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl


class StackServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, refusal: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refusal = refusal
        self.told: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: StackServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.told.append(dict(parse_qsl(body)))
        code = self.server.refusal
        error = f"<Error><Code>{code}</Code><Message>it does not wait</Message></Error>"
        answer = f"<ErrorResponse>{error}</ErrorResponse>" if code else "<SignalResourceResponse/>"
        self.send_response(400 if code else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def stack_server(refusal: str = "") -> Iterator[StackServer]:
    with StackServer(refusal) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
