"""What comes in and what is known of it, in the service's own terms. No I/O here."""

from dataclasses import dataclass, field

from visionfleet.contract.messages import Failed, Succeeded
from visionfleet.web.load.admission import Refusal
from visionfleet.web.load.memory_budget import Share


@dataclass(frozen=True, slots=True)
class Upload:
    """Who takes an upload closes its `memory` once the bytes are stored or given up."""

    file_name: str  # without folders; empty for a raw body
    data: bytes = field(repr=False)
    memory: Share = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Queued:
    job: str


Result = Succeeded | Failed
Answer = Result | Queued | Refusal
