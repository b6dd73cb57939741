"""Access log lines; throttled for clients without a key, and limited in length."""

import logging
from collections.abc import Callable, Mapping, Sequence

from tornado.httputil import HTTPServerRequest

from visionfleet.web.http.forwarded import Network, client
from visionfleet.web.http.rate_limit import LogThrottle
from visionfleet.web.problems import Problem

log = logging.getLogger("web")

Fields = Callable[[], Mapping[str, object]]

# Truncates paths of several KiB, but not the jobs of one request.
TEXT_LENGTH = 1000


class RequestLog:
    """Requests without a valid key are logged once per kind and interval, with their count."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._throttles: dict[str, LogThrottle] = {}

    def write(
        self, kind: str, fields: Fields, unauthenticated: bool, level: int = logging.INFO
    ) -> None:
        """Write a line with the message `kind`; an unauthenticated client's gets a count."""
        count = 0
        if unauthenticated:
            count = self._throttles.setdefault(kind, LogThrottle(self._clock)).add()
            if not count:
                return
        told = {name: shortened(value) for name, value in fields().items()}
        log.log(level, kind, extra=told | ({"count": count} if count else {}))

    def refused(
        self,
        request: HTTPServerRequest,
        problem: Problem,
        request_id: str,
        trusted: Sequence[Network],
        unauthenticated: bool,
    ) -> None:
        def fields() -> dict[str, object]:
            return {
                "path": request.path,
                "code": problem.code,
                "detail": problem.detail,
                "client": client_of(request, trusted),
                "request_id": request_id,
            }

        self.write("refused", fields, unauthenticated)


def client_of(request: HTTPServerRequest, trusted: Sequence[Network]) -> str:
    forwarded = ",".join(request.headers.get_list("X-Forwarded-For"))
    return client(str(request.remote_ip), forwarded, trusted)


class MalformedFilter(logging.Filter):
    """Throttles Tornado's own lines about malformed HTTP, which any client can cause."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._throttle = LogThrottle(clock)

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = shortened(record.getMessage()), ()
        count = record.__dict__["count"] = self._throttle.add()
        return bool(count) or record.levelno > logging.INFO


def shortened(value: object) -> object:
    return (
        f"{value[:TEXT_LENGTH]}..."
        if isinstance(value, str) and len(value) > TEXT_LENGTH
        else value
    )
