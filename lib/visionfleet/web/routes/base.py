"""What all handlers share: bounded bodies, problem documents, and their count."""

import asyncio
import json
import logging
import os
import re
from http import HTTPStatus
from types import TracebackType

from tornado.web import HTTPError, RequestHandler, stream_request_body

from visionfleet.web.http.body import Body
from visionfleet.web.http.cors import allowed, preflight
from visionfleet.web.http.forwarded import client
from visionfleet.web.jobs.responses import Outcome, Queued, document, status
from visionfleet.web.jobs.service import Patience, Service
from visionfleet.web.problems import Problem
from visionfleet.web.settings import Rules

log = logging.getLogger("web")

# What every answer says; a page sets a policy of its own.
HEADERS = {
    "Server": "visionfleet",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
# The methods that are open for routes which anybody may read.
READING = frozenset({"GET", "HEAD", "OPTIONS"})
PROBLEM_TYPE = "application/problem+json"
# What a page of another origin may read beside the body.
EXPOSED = "Location, Retry-After, X-Request-ID"
_LENGTH = re.compile(r"[0-9]{1,18}")
# A request id of the client is taken over when it fits into a log line and a header.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._~:/+=-]{1,128}")


@stream_request_body
class Handler(RequestHandler):
    """The base of all handlers.

    All of them stream, also those that want no body: Tornado would answer a body beyond its own
    limit with a bare 400.
    """

    service: Service
    rules: Rules
    body: Body
    declared: int  # Content-Length
    # Methods that anybody may use, without a key.
    open_methods: frozenset[str] = frozenset({"OPTIONS"})
    gone: "asyncio.Future[None]"
    route: str
    request_id: str
    # Probes come every few seconds; their lines are for debugging only.
    quiet = False

    def initialize(self, service: Service, route: str = "other") -> None:
        """Take what the routes give; Tornado calls this for each request.

        The rules of its beginning hold for a request to its end.
        """
        self.service = service
        self.rules = service.rules
        self.route = route
        self.jobs: list[str] = []
        given = self.request.headers.get("X-Request-ID", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(8).hex()
        self.body = self.new_body()
        self.gone = asyncio.get_running_loop().create_future()
        service.under_way.enter(self)

    def new_body(self) -> Body:
        """Make what collects the body."""
        return Body(self.body_limit(), self.rules.patience_bytes, self.service.held)

    def body_limit(self) -> int:
        """Tell how much body to keep; a handler that wants none ignores what comes."""
        return 0

    def set_default_headers(self) -> None:
        """Say who answers."""
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Refuse who has no key, and what is too large or too much, before it is sent."""
        headers = self.request.headers
        asks_first = headers.get("Expect", "").lower() == "100-continue"
        length = headers.get("Content-Length", "")
        self.declared = int(length) if _LENGTH.fullmatch(length) else 0
        self.body.declare(self.declared, asks_first)
        try:
            self.enter()
        except Problem as problem:
            if asks_first:
                raise
            self._refuse_at_its_end(problem)

    def enter(self) -> None:
        """Let the request in; raises Problem."""
        headers = self.request.headers
        if self.service.access is not None and self.request.method not in self.open_methods:
            key = headers.get("Authorization", ""), headers.get("X-API-Key", "")
            self.service.access.enter(*key)
        if self.request.method == "POST" and self.body_limit():
            self.service.admit(min(self.declared, self.body_limit()))

    def _refuse_at_its_end(self, problem: Problem) -> None:
        """Read the body, keep nothing of it, and then answer: see Body for why."""
        self.body.refuse(problem)

        def refuse(*_arguments: object) -> None:
            raise problem

        setattr(self, str(self.request.method).lower(), refuse)

    def data_received(self, chunk: bytes) -> None:
        """Take a piece of the body; too much of it is answered before its end."""
        self.body.add(chunk)
        if self.body.exhausting and not self._finished:
            problem = self.body.too_large()
            self.note(problem)
            self.send_error(problem.status, exc_info=(Problem, problem, None))

    def options(self, *_: str) -> None:
        """Answer a browser that asks whether a page of another origin may send this request."""
        headers = self.request.headers
        origin = allowed(headers.get("Origin"), self.rules.cors_origins)
        for name, value in preflight(origin, self._methods(), headers).items():
            self.set_header(name, value)
        self.set_header("Allow", ", ".join(self._methods()))
        self.set_status(204)
        self.finish()

    def patience(self, seconds: float) -> Patience:
        """Wait for this client at most so long from now."""
        return Patience(self.service.clock() + seconds, self.gone)

    def client(self) -> str:
        """Tell whose request this is."""
        forwarded = ",".join(self.request.headers.get_list("X-Forwarded-For"))
        return client(str(self.request.remote_ip), forwarded, self.rules.trusted_proxies)

    def answer_job(self, outcome: Outcome) -> None:
        """Answer with one job; a problem is raised."""
        if isinstance(outcome, Problem):
            raise outcome
        self.note(outcome)
        if isinstance(outcome, Queued):
            self.set_header("Location", outcome.location)
        self.answer(status(outcome), document(outcome))

    def answer(self, status_code: int, body: dict[str, object]) -> None:
        """Answer with JSON."""
        self.set_status(status_code)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(body))

    def note(self, outcome: Outcome) -> None:
        """Log what a client is told of one upload."""
        if isinstance(outcome, Problem) and outcome.job is None:
            self._note_refusal(outcome)
            return
        self.jobs.append(str(outcome.job))
        seconds = self.request.request_time()
        fields = {"job": str(outcome.job), "status": str(status(outcome))}
        log.info("job answered", extra={**fields, "seconds": seconds})
        self.service.answered += 1

    def _note_refusal(self, problem: Problem) -> None:
        """Log it; who has no key cannot fill the disk with lines."""
        fields: dict[str, object] = {
            "path": self.request.path,
            "code": problem.code,
            "detail": problem.detail,
            "client": self.client(),
            "request_id": self.request_id,
        }
        if problem.status == HTTPStatus.UNAUTHORIZED:
            count = self.service.keyless.add()
            if not count:
                return
            fields["count"] = count
        log.info("refused", extra=fields)

    def finish(
        self, chunk: str | bytes | dict[str, object] | None = None
    ) -> "asyncio.Future[None]":
        """Send the answer; the request is over when all of it is handed to the kernel."""
        if self.service.vitals.stopping:
            self.set_header("Connection", "close")
        self.body.drop()
        self.set_header("X-Request-ID", self.request_id)
        origin = allowed(self.request.headers.get("Origin"), self.rules.cors_origins)
        if self.rules.cors_origins:
            self.add_header("Vary", "Origin")
        if origin is not None:
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Access-Control-Expose-Headers", EXPOSED)
        sent = super().finish(chunk)
        sent.add_done_callback(lambda _: self.service.under_way.leave(self))
        return sent

    def on_finish(self) -> None:
        """Count the request and log it in one line."""
        status_code, seconds = self.get_status(), self.request.request_time()
        method = self.request.method if self.request.method in self.SUPPORTED_METHODS else "other"
        self.service.meters.request(self.route, str(method), status_code, seconds, self.body.seen)
        fields: dict[str, object] = {
            "method": method,
            "path": self.request.path,
            "status": status_code,
            "seconds": seconds,
            "bytes": self.body.seen,
            "request_id": self.request_id,
        }
        if self.jobs:
            fields["jobs"] = ",".join(self.jobs)
        quiet = self.quiet or status_code == HTTPStatus.UNAUTHORIZED
        log.log(logging.DEBUG if quiet else logging.INFO, "request", extra=fields)

    def on_connection_close(self) -> None:
        """The client went away: nobody waits any more, but an accepted job goes on."""
        super().on_connection_close()
        self.body.drop()
        self.service.under_way.leave(self)
        if not self.gone.done():
            self.gone.set_result(None)

    def write_error(self, status_code: int, **kwargs: object) -> None:
        """Answer with a problem document, whatever went wrong."""
        cause = kwargs.get("exc_info")
        error = cause[1] if isinstance(cause, tuple) else None
        problem = error if isinstance(error, Problem) else self._problem(status_code)
        content_type, document = self.problem_body(problem)
        self.set_status(problem.status)
        self.set_header("Content-Type", content_type)
        for name, value in problem.headers.items():
            self.set_header(name, value)
        self.finish(json.dumps(document))

    def problem_body(self, problem: Problem) -> tuple[str, dict[str, object]]:
        """Write the body of an error, with its media type."""
        return PROBLEM_TYPE, problem.document(self.request_id)

    def log_exception(
        self,
        _type: type[BaseException] | None,
        value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Log what was refused in a line, and with its traceback what should not have happened."""
        if isinstance(value, Problem):
            self.note(value)
        elif isinstance(value, HTTPError):
            self.note(self._problem(value.status_code))
        else:
            request = f"{self.request.method} {self.request.uri}"
            log.error("request failed", extra={"request": request}, exc_info=value)

    def _problem(self, status_code: int) -> Problem:
        if status_code == 405:
            allowed = ", ".join(self._methods())
            detail = f"{self.request.method} is not allowed here, {allowed} is"
            return Problem("method_not_allowed", detail, headers={"Allow": allowed})
        if status_code == 404:
            return Problem("not_found", f"there is nothing at {self.request.path}")
        if 400 <= status_code < 500:
            return Problem("bad_parameter", "the request cannot be read")
        return Problem("internal", "an unexpected error; the server's log tells more")

    def _methods(self) -> list[str]:
        missing = RequestHandler._unimplemented_method
        names = sorted(self.SUPPORTED_METHODS)
        return [name for name in names if getattr(type(self), name.lower()) is not missing]
