"""Sends the responses of all handlers: JSON, problem documents, log lines, metrics."""

import asyncio
import json
import logging
import os
import re
import time
from functools import partial
from http import HTTPStatus
from types import TracebackType

from tornado.web import HTTPError, RequestHandler

from visionfleet.contract.messages import Failed
from visionfleet.web.http.body import Body
from visionfleet.web.http.cors import allowed, exposing, preflight
from visionfleet.web.jobs.answers import Answer, Queued
from visionfleet.web.load.admission import Refusal
from visionfleet.web.problems import PROBLEM_TYPE, Problem, problem_of
from visionfleet.web.routes.context import Context
from visionfleet.web.routes.documents import document, location, of_status

log = logging.getLogger("web")

# Headers of all responses; the page sets its own policy.
HEADERS = {
    "Server": "visionfleet",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
# A client's request id is used if it fits into a log line and a header.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._~:/+=-]{1,128}")


class Responder(RequestHandler):
    body: Body
    has_body: bool
    # Probes arrive every few seconds; log them at debug level.
    quiet = False

    @staticmethod
    def leave_unlogged(_handler: RequestHandler) -> None:
        """Replaces Tornado's access log: `on_finish` writes our own."""

    def __init_subclass__(cls, **more: object) -> None:
        """Answer HEAD wherever GET is answered."""
        super().__init_subclass__(**more)
        if "get" in vars(cls):
            cls.head = vars(cls)["get"]

    def initialize(self, context: Context, route: str = "other") -> None:
        """Start a request, which keeps the current configuration to its end."""
        self.begun = time.monotonic()  # tornado's own uses the wall clock, which may be set
        self.context = context
        self.config = context.config
        self.public_path = self.config.web.public_path
        self.service = context.service
        self.route = route
        self.jobs: list[str] = []
        given = self.request.headers.get("X-Request-ID", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(8).hex()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Until it shows a key; such requests do not count as open.
        self.unauthenticated = context.access is not None

    def set_default_headers(self) -> None:
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def options(self, *_: str) -> None:
        headers = self.request.headers
        origin = allowed(headers.get("Origin"), self.config.web.cors_origins)
        for name, value in preflight(origin, self._methods(), headers).items():
            self.set_header(name, value)
        self.set_header("Allow", ", ".join(self._methods()))
        self.set_status(204)
        self.finish()

    def answer_job(self, answer: Answer) -> None:
        if isinstance(answer, Failed | Refusal):
            raise problem_of(answer)
        self.note(answer)
        if isinstance(answer, Queued):
            self.set_header("Location", location(answer.job, self.public_path))
        self.answer(202 if isinstance(answer, Queued) else 200, document(answer, self.public_path))

    def answer(self, status_code: int, body: dict[str, object]) -> None:
        self.set_status(status_code)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(body))

    def note(self, answer: Answer | Problem) -> None:
        status = 202 if isinstance(answer, Queued) else 200
        if isinstance(answer, Problem | Failed | Refusal):
            answer = problem_of(answer)
            status = answer.status
            if answer.job is None:
                of = (self.request_id, self.config.web.trusted_proxies, self.unauthenticated)
                self.context.log.refused(self.request, answer, *of)
                return
        self.jobs.append(str(answer.job))
        fields = {"job": answer.job, "status": str(status)}
        log.info("job answered", extra={**fields, "seconds": time.monotonic() - self.begun})
        self.context.jobs_answered += 1

    def finish(
        self, chunk: str | bytes | dict[str, object] | None = None
    ) -> "asyncio.Future[None]":
        """Send the response; the request ends when all of it is handed to the kernel."""
        if self.context.readiness.stopping or not self.request._body_future.done():
            self.set_header("Connection", "close")
        if self.body.memory is not None:
            self.body.close()
        self.set_header("X-Request-ID", self.request_id)
        origin, origins = self.request.headers.get("Origin"), self.config.web.cors_origins
        for name, value in exposing(origin, origins).items():
            self.set_header(name, value)
        sent = super().finish(chunk)
        sent.add_done_callback(partial(self.context.requests.leave, self))
        return sent

    def on_finish(self) -> None:
        status_code, seconds = self.get_status(), time.monotonic() - self.begun
        known = self.request.method in self.SUPPORTED_METHODS
        method = str(self.request.method) if known else "other"
        metrics = self.context.metrics
        metrics.requests.labels(self.route, method, str(status_code)).inc()
        metrics.request_seconds.labels(self.route).observe(seconds)
        metrics.received_bytes.inc(self.body.seen)
        fields = {
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
        level = logging.DEBUG if quiet else logging.INFO
        self.context.log.write("request", lambda: fields, self.unauthenticated, level)

    def on_connection_close(self) -> None:
        """The client disconnected: stop waiting, but an accepted job goes on."""
        super().on_connection_close()
        self.body.close()
        self.context.requests.leave(self)
        if not self.gone.done():
            self.gone.set_result(None)

    def write_error(self, status_code: int, **kwargs: object) -> None:
        cause = kwargs.get("exc_info")
        error = cause[1] if isinstance(cause, tuple) else None
        refused = error if isinstance(error, Problem | Refusal) else self._problem(status_code)
        problem = problem_of(refused)
        content_type, body = self.problem_body(problem)
        self.set_status(problem.status)
        if self.unauthenticated and self.has_body:
            self.set_header("Connection", "close")
        for name, value in {"Content-Type": content_type, **problem.headers}.items():
            self.set_header(name, value)
        self.finish(json.dumps(body))
        refused.__traceback__ = None  # it knows this handler, and the body keeps what refused it

    def problem_body(self, problem: Problem) -> tuple[str, dict[str, object]]:
        return PROBLEM_TYPE, problem.document(self.request_id)

    def log_exception(
        self,
        _type: type[BaseException] | None,
        value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """One line for refusals, a traceback for unexpected errors."""
        if isinstance(value, Problem | Refusal):
            self.note(value)
        elif isinstance(value, HTTPError):
            self.note(self._problem(value.status_code))
        else:
            request = f"{self.request.method} {self.request.uri}"
            log.error("request failed", extra={"request": request}, exc_info=value)

    def _problem(self, status_code: int) -> Problem:
        return of_status(status_code, str(self.request.method), self.request.path, self._methods())

    def _methods(self) -> list[str]:
        missing = RequestHandler._unimplemented_method
        names = sorted(self.SUPPORTED_METHODS)
        return [name for name in names if getattr(type(self), name.lower()) is not missing]
