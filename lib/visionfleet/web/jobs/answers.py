"""What comes in and what is known of it, in the service's own terms. No I/O here."""

from dataclasses import dataclass, field

from visionfleet.contract.messages import Failed, Succeeded
from visionfleet.web.load.admission import Refusal
from visionfleet.web.load.memory_budget import Share


@dataclass(frozen=True, slots=True)
class Upload:
    """Who takes an upload closes its `memory` once the bytes are stored or given up.

    `embed` asks for the image's vector, too.
    """

    file_name: str  # without folders; empty for a raw body
    data: bytes = field(repr=False)
    memory: Share = field(repr=False, compare=False)
    embed: bool = False


@dataclass(frozen=True, slots=True)
class Queued:
    """A job without a result yet; `reason` says why it may be long in coming."""

    job: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """A job whose image is there, and of which nothing else is left to wait for."""

    job: str


Result = Succeeded | Failed
State = Result | Queued | Gone | None
Answer = Result | Queued | Refusal
