"""The base of all handlers: bodies within limits, and who may send them."""

import asyncio
import re
from collections.abc import Awaitable
from http import HTTPStatus

from tornado.web import stream_request_body

from visionfleet.web.http.body import Body, Plain, Whole, decoded, media_type_of
from visionfleet.web.load.admission import Refusal, refusal
from visionfleet.web.problems import Problem
from visionfleet.web.routes.context import Context
from visionfleet.web.routes.responder import Responder

# Overhead of a multipart body: boundaries, headers, other fields.
FORM_BYTES = 1 << 20
# The growth by base64.
IN_BASE64 = 4 / 3
# Bodies of up to this many times the largest image are read to their end before the refusal.
DISCARD_FILES = 8
# Input per step when decompressing: it may expand to 4 MiB.
INFLATED_AT_ONCE = 4096
# The methods of public routes.
READING = frozenset({"GET", "HEAD", "OPTIONS"})
_LENGTH = re.compile(r"[0-9]{1,18}")


@stream_request_body
class Handler(Responder):
    """All handlers stream the body, also those that want none: Tornado would send a bare 400."""

    # Methods that need no key.
    open_methods: frozenset[str] = frozenset({"OPTIONS"})
    # The body limit: so many of the largest images, plus so many bytes.
    body_images: float = 0
    body_bytes = 0
    # Whether images are accepted as JSON.
    keeps_json = False

    def initialize(self, context: Context, route: str = "other") -> None:
        super().initialize(context, route)
        headers = self.request.headers
        length = headers.get("Content-Length", "")
        self.declared = int(length) if _LENGTH.fullmatch(length) else 0
        self.has_body = self.declared > 0 or "Transfer-Encoding" in headers
        self.asks_first = headers.get("Expect", "").lower() == "100-continue"
        self.content_type = headers.get("Content-Type", "")
        self.has_json = self.keeps_json and media_type_of(self.content_type) == "application/json"
        largest = self.config.images.max_bytes
        images = self.body_images * (IN_BASE64 if self.has_json else 1)
        self.limit = int(images * largest) + self.body_bytes
        self.encoding = headers.get("Content-Encoding", "")
        self.body = Body(
            decoded(self.reader(), self.encoding),
            context.budget,
            self.limit,
            DISCARD_FILES * largest,
            self.declared,
            self.asks_first,
        )

    def reader(self) -> Plain:
        """The reader of the body; must not raise, whatever the request is."""
        return Whole()

    def prepare(self) -> None:
        """Refuse unauthenticated clients, and overload, before the body is read."""
        if self.body.excess is not None:
            raise self.body.excess
        try:
            self._authenticate()
            self.check_target()
            if self.request.method == "POST" and self.limit:
                self.context.budget.expect(min(self.declared, self.limit))
                load, waiting = self.context.fleet_load.load(), len(self.context.requests.open) - 1
                if refused := refusal(load, waiting, self.config.web):
                    raise refused
        except (Problem, Refusal) as refused:
            if self.asks_first or (self.unauthenticated and self.has_body):
                raise
            self._refuse_after_body(refused)

    def check_target(self) -> None:
        """Refuse requests for another host; raises Problem."""
        self.context.check_host(self.request.headers.get("Host", ""))

    def _authenticate(self) -> None:
        """Authenticate, and count the request as open; raises Problem."""
        access, headers = self.context.access, self.request.headers
        if access is not None and self.request.method not in self.open_methods:
            try:
                access.enter(headers.get("Authorization", ""), headers.get("X-API-Key", ""))
            except Problem as refused:
                self.unauthenticated = refused.status == HTTPStatus.UNAUTHORIZED
                raise
            self.unauthenticated = False
        elif self.unauthenticated and self.has_body:
            raise Problem("too_large", "without a key no body is read")
        if not self.unauthenticated:
            self.context.requests.open.add(self)

    def _refuse_after_body(self, refused: Problem | Refusal) -> None:
        """Discard the body, then send the refusal: see Body."""
        self.body.refuse(refused)

        def refuse(*_arguments: object) -> None:
            raise refused

        setattr(self, str(self.request.method).lower(), refuse)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self.encoding:
            return self._inflate(chunk)
        self._add(chunk)
        return None

    async def _inflate(self, chunk: bytes) -> None:
        """Decompress in small steps, yielding to other requests."""
        for start in range(0, len(chunk), INFLATED_AT_ONCE):
            self._add(chunk[start : start + INFLATED_AT_ONCE])
            await asyncio.sleep(0)

    def _add(self, chunk: bytes) -> None:
        self.body.add(chunk)
        problem = self.body.excess
        if problem is not None and not self._finished:
            self.note(problem)
            self.send_error(problem.status, exc_info=(Problem, problem, None))
