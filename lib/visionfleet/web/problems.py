"""Errors as clients see them: problem documents after RFC 9457. No I/O here."""

import math
from http import HTTPStatus

from visionfleet.contract.messages import Failed
from visionfleet.web.load.admission import Refusal

# The HTTP status of every code. What a worker gives as the reason of a failed result and is not
# listed here is FAILED_STATUS: the request was fine, its content could not be classified.
STATUSES = {
    "bad_body": 400,
    "bad_parameter": 400,
    "empty": 400,
    "no_file": 400,
    "too_many_files": 400,
    "no_key": 401,
    "wrong_key": 401,
    "no_status": 404,
    "unknown_model": 404,
    "unknown_upload": 404,
    "not_found": 404,
    "unknown_job": 404,
    "method_not_allowed": 405,
    "too_slow": 408,
    "too_large": 413,
    "not_an_image": 415,
    "cannot_be_decoded": 422,
    "expired": 422,
    "gave_up": 422,
    "key_reused": 422,
    "image_missing": 422,
    "too_many_pixels": 422,
    "rate_limited": 429,
    "internal": 500,
    "overloaded": 503,
    "try_later": 503,
    "timed_out": 504,
}
FAILED_STATUS = 422


class Problem(Exception):
    """An error to be told to the client: a stable `code` for machines, a `detail` for people."""

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
        """Write the body; the type is about:blank, so the title is that of the status."""
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
    """Say in HTTP's terms what the service refused, or what a worker could not classify."""
    if isinstance(answer, Problem):
        return answer
    if isinstance(answer, Failed):
        return Problem(answer.code, answer.reason, answer.job)
    headers = {}
    if answer.retry_seconds is not None:
        headers["Retry-After"] = str(math.ceil(answer.retry_seconds))
    return Problem(answer.code, str(answer), headers=headers)
