"""Errors as problem documents (RFC 9457). No I/O here."""

import math
from collections.abc import Mapping
from http import HTTPStatus

from visionfleet.contract.messages import Failed
from visionfleet.web.load.admission import Refusal

# All codes by HTTP status. Reasons of failed results not listed here are FAILED_STATUS: the request
# was fine, its content could not be classified.
_CODES: Mapping[int, tuple[str, ...]] = {
    400: ("bad_body", "bad_parameter", "empty", "no_file", "too_many_files"),
    401: ("no_key", "wrong_key"),
    404: ("no_model", "no_status", "not_found", "unknown_job", "unknown_model", "unknown_upload"),
    405: ("method_not_allowed",),
    408: ("too_slow",),
    409: ("not_answered",),
    410: ("gone",),
    413: ("too_large",),
    415: ("not_an_image", "unknown_encoding"),
    421: ("wrong_host",),
    422: (
        *("cannot_be_decoded", "expired", "gave_up", "image_missing", "image_refused"),
        *("too_many_pixels", "key_reused"),
    ),
    429: ("rate_limited",),
    431: ("head_too_large",),
    500: ("internal",),
    501: ("no_embedding",),
    503: ("overloaded", "try_later"),
    504: ("timed_out",),
}
STATUSES = {code: status for status, codes in _CODES.items() for code in codes}
FAILED_STATUS = 422
PROBLEM_TYPE = "application/problem+json"


class Problem(Exception):
    """An error response: a stable `code` for machines, a `detail` for people."""

    def __init__(
        self, code: str, detail: str, job: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.job = job
        self.headers = headers or {}

    @property
    def status(self) -> int:
        return STATUSES.get(self.code, FAILED_STATUS)

    def document(self, request_id: str | None = None) -> dict[str, object]:
        members: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.job is not None:
            members["job"] = self.job
        if request_id is not None:
            members["request_id"] = request_id
        return members


def problem_of(answer: Problem | Refusal | Failed) -> Problem:
    if isinstance(answer, Problem):
        return answer
    if isinstance(answer, Failed):
        return Problem(answer.code, answer.reason, answer.job)
    headers = {}
    if answer.retry_seconds is not None:
        headers["Retry-After"] = str(math.ceil(answer.retry_seconds))
    return Problem(answer.code, str(answer), headers=headers)


def protocol_error(problem: Problem) -> tuple[str, dict[str, object]]:
    """Media type and document of a problem in the Open Inference Protocol."""
    return "application/json", {"error": problem.detail}
