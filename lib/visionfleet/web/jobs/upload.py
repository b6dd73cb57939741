"""What comes in and what is known of it, in the service's own terms. No I/O here."""

from dataclasses import dataclass, field

from visionfleet.contract.messages import Failed, Succeeded
from visionfleet.web.load.admission import Refusal
from visionfleet.web.load.memory_budget import Share


@dataclass(frozen=True, slots=True)
class Upload:
    """One uploaded file. `file_name` has no folders, and is empty for a raw body.

    `memory` is what it holds of the memory budget: whoever takes the upload closes it, once the
    bytes are stored or given up.
    """

    file_name: str
    data: bytes = field(repr=False)
    memory: Share = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Queued:
    """A job that is accepted and has no result yet."""

    job: str


Result = Succeeded | Failed
Answer = Result | Queued | Refusal
