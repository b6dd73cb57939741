"""What is said of a job: documents, statuses and the plain line. No I/O here."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from visionfleet.contract.messages import Failed, Succeeded
from visionfleet.contract.names import file_stem
from visionfleet.web.problems import Problem, of_failed

_PLACE = re.compile(r"\{(label|stem)\}")


@dataclass(frozen=True, slots=True)
class Queued:
    """A job that is accepted and has no result yet."""

    job: str

    @property
    def location(self) -> str:
        """Where its result will be."""
        return f"/v1/jobs/{self.job}"


Outcome = Succeeded | Queued | Problem


def outcome(result: Succeeded | Failed | None, job: str) -> Outcome:
    """Judge what a wait for a job ended with; None is a wait that was over first."""
    if result is None:
        return Queued(job)
    return of_failed(result) if isinstance(result, Failed) else result


def document(of: Succeeded | Failed | Queued | Problem) -> dict[str, object]:
    """Write the JSON object for one job."""
    if isinstance(of, Problem):
        return of.document()
    if isinstance(of, Queued):
        return {"job": of.job, "status": "queued", "location": of.location}
    return of.model_dump(mode="json")


def status(of: Succeeded | Failed | Queued | Problem) -> int:
    """HTTP status for one job."""
    if isinstance(of, Problem):
        return of.status
    return 202 if isinstance(of, Queued) else 200


def status_of_all(outcomes: Sequence[Outcome]) -> int:
    """HTTP status for several files: 202 while any has no result, else 200."""
    return 202 if any(isinstance(one, Queued) for one in outcomes) else 200


def plain(pattern: str, label: str, file_name: str) -> str:
    """Write the line for plain clients: `{stem}:{label}` becomes `test_0:church`."""
    values = {"label": label, "stem": file_stem(file_name)}
    return _PLACE.sub(lambda place: values[place[1]], pattern)


def wants_json(accept: str) -> bool:
    """Tell whether an Accept header names JSON, and no text that it likes better; `*/*` does not.

    An answer in a form that is not acceptable is better than none, so nothing is refused for it.
    """
    liked = dict(_liking(entry) for entry in accept.split(","))
    json = liked.get("application/json", 0.0)
    return json > 0 and json >= liked.get("text/plain", 0.0)


def _liking(entry: str) -> tuple[str, float]:
    """Read one range of an Accept header with its quality."""
    media_type, *parameters = (part.strip().lower() for part in entry.split(";"))
    quality = next((one[2:].strip() for one in parameters if one.startswith("q=")), "1")
    try:
        return media_type, float(quality)
    except ValueError:
        return media_type, 0.0
