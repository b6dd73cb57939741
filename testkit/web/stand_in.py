"""A stand-in for the web daemon: answers with what a test has put up, and notes what came."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Reply:
    """One answer; `drop` closes the connection without one."""

    status: int
    document: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False


@dataclass(frozen=True)
class Call:
    """One request as it came: `file` is the name of the uploaded part, `data` its content."""

    method: str
    path: str
    file: str = ""
    data: bytes = b""


class WebStandIn:
    """Gives the replies in order; the last one again and again."""

    def __init__(self, replies: list[Reply]) -> None:
        self.calls: list[Call] = []
        self.url = ""
        self._replies = replies
        self._lock = threading.Lock()

    def reply_to(self, call: Call) -> Reply:
        with self._lock:
            self.calls.append(call)
            return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]


def succeeded(label: str, job: str = "j1") -> Reply:
    top = [{"index": 3, "label": label, "score": 0.9}]
    document = {"v": 1, "status": "succeeded", "job": job, "label": label, "score": 0.9}
    return Reply(200, {**document, "top": top})


def queued(job: str = "j1") -> Reply:
    location = f"/v1/jobs/{job}"
    document = {"job": job, "status": "queued", "location": location}
    return Reply(202, document, {"Location": location})


def problem(status: int, code: str, detail: str, **headers: str) -> Reply:
    document = {"type": "about:blank", "title": "T", "status": status, "detail": detail}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {**document, "code": code}, named)


@contextmanager
def web_stand_in(*replies: Reply) -> Iterator[WebStandIn]:
    """Serve on a free port for the length of a with block."""
    made = WebStandIn(list(replies))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(made: WebStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(made.reply_to(Call("GET", self.path)))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            (part,) = BytesParser(policy=HTTP).parsebytes(head + body).iter_parts()
            data = part.get_payload(decode=True)
            assert isinstance(data, bytes)
            self._answer(made.reply_to(Call("POST", self.path, part.get_filename() or "", data)))

        def _answer(self, reply: Reply) -> None:
            if reply.drop:
                self.close_connection = True
                return
            text = reply.document
            body = text.encode() if isinstance(text, str) else json.dumps(text).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
