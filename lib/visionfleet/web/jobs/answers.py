"""Uploads and answers, in the service's own terms. No I/O here."""

from dataclasses import dataclass, field

from visionfleet.contract.messages import Failed, Succeeded
from visionfleet.web.load.admission import Refusal
from visionfleet.web.load.memory_budget import Share


@dataclass(frozen=True, slots=True)
class Upload:
    """The receiver of an upload closes its `memory` once the bytes are stored or given up.

    `embed` asks for the image's embedding too.
    """

    file_name: str  # base name; empty for a raw body
    data: bytes = field(repr=False)
    memory: Share = field(repr=False, compare=False)
    embed: bool = False


@dataclass(frozen=True, slots=True)
class Queued:
    """A job without a result yet; `reason` says why it may take long."""

    job: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """A job whose image exists but whose request and result do not."""

    job: str


Result = Succeeded | Failed
State = Result | Queued | Gone | None
Answer = Result | Queued | Refusal
