"""Answers as JSON, and their URLs. No I/O here."""

import math
from collections.abc import Sequence

from visionfleet.contract.messages import Failed, Succeeded
from visionfleet.contract.vectors import decode_vector
from visionfleet.web.jobs.answers import Answer, Queued
from visionfleet.web.load.admission import Refusal
from visionfleet.web.problems import Problem, problem_of


def location(job: str, public_path: str) -> str:
    return f"{public_path}/v1/jobs/{job}"


def document(answer: Answer, public_path: str) -> dict[str, object]:
    if isinstance(answer, Queued):
        where = location(answer.job, public_path)
        queued: dict[str, object] = {"job": answer.job, "status": "queued", "location": where}
        return queued | ({"reason": answer.reason} if answer.reason else {})
    if isinstance(answer, Failed | Refusal):
        return problem_of(answer).document()
    return of_result(answer)


def of_result(result: Succeeded | Failed) -> dict[str, object]:
    """A result for clients, with the embedding as a list of numbers."""
    if isinstance(result, Failed) or result.vector is None:
        return result.model_dump(mode="json")
    vector = decode_vector(result.vector)
    return {
        **result.model_dump(mode="json", exclude={"vector"}),
        # Nine digits distinguish all values of float32.
        "embedding": [float(f"{value:.9g}") for value in vector],
        "size": len(vector),
        "norm": math.sqrt(math.fsum(value * value for value in vector)),
    }


def of_status(status: int, method: str, path: str, methods: Sequence[str]) -> Problem:
    """The problem for a bare HTTP status; `methods` are those allowed."""
    if status == 405:
        allowed = ", ".join(methods)
        detail = f"{method[:20]} is not allowed here, {allowed} is"
        if method == "PUT" and "POST" in methods:  # curl -T
            detail += "; send a file as with curl -F file=@photo.jpg, or --data-binary @photo.jpg"
        return Problem("method_not_allowed", detail, headers={"Allow": allowed})
    if status == 404:
        return Problem("not_found", f"there is nothing at {path[:200]}, see /openapi.json")
    if 400 <= status < 500:
        return Problem("bad_parameter", "the request cannot be read")
    return Problem("internal", "an unexpected error; the server's log tells more")
