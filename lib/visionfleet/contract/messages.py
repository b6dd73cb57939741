"""The wire contract: the messages in queues and objects, which `names` names. No I/O here.

Messages are small JSON objects with a version field. Unknown fields are ignored, so a newer
sender can talk to an older receiver; a missing or ill-typed field is a BadMessage.
"""

import operator
from collections.abc import Callable
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from visionfleet.contract.usage import DayUsage, FleetCost
from visionfleet.contract.values import Value
from visionfleet.contract.vectors import Vector
from visionfleet.errors import BadMessage

_M = TypeVar("_M")


class Message(Value):
    """A value that travels by itself and so carries the version of the contract."""

    v: Literal[1] = 1

    @classmethod
    def decode(cls, raw: str | bytes) -> Self:
        """Read one; raises BadMessage, which keeps the raw body."""
        return _decode(cls.model_validate_json, raw)


class Request(Message):
    """One image to classify; `embed` asks for its vector. `expires_at` None never expires."""

    job: str
    key: str
    reply_to: str | None = None
    file_name: str = ""
    top: Annotated[int, Field(ge=1, le=1000)] = 5
    sent_at: float
    expires_at: float | None = None
    embed: Annotated[bool, Field(exclude_if=operator.not_)] = False


class Ranked(Value):
    """One class of a ranking: `score` is its probability, 0 to 1."""

    index: int
    label: str
    score: float


class ModelInfo(Value):
    """Which model answered: the fingerprint tells two files of one name apart."""

    name: str
    fingerprint: str


class Timings(Value):
    """Seconds an image spent in each stage; `queue` runs from sending to receiving."""

    queue: float = 0.0
    fetch: float = 0.0
    decode: float = 0.0
    infer: float = 0.0


LOW_CONFIDENCE = "low confidence"


class Succeeded(Message):
    """The answer to a job. `top` is sorted by score, best first; `label` is its first.

    A model that is not sure gives no label, and a `reason`; its guesses are in `top` all the same.
    `vector` is there when it was asked for and the worker has one; `vectors` tells how to read it.
    """

    status: Literal["succeeded"] = "succeeded"
    job: str
    file_name: str = ""
    label: str | None
    reason: str | None = None
    score: float
    top: Annotated[tuple[Ranked, ...], Field(min_length=1)]
    model: ModelInfo
    timings: Timings
    attempts: int
    worker: str
    finished_at: float
    vector: Vector = None

    @property
    def best(self) -> str:
        """The likeliest label, sure or not: what clients get that know of labels alone."""
        return self.top[0].label


class Failed(Message):
    """Why a job has no answer: a stable `code` for machines, a `reason` for people."""

    status: Literal["failed"] = "failed"
    job: str
    file_name: str = ""
    code: str
    reason: str
    attempts: int
    worker: str
    finished_at: float


class CachedResult(Message):
    """An answer that is kept by content; `asked` is how long a ranking it could have had."""

    asked: int
    result: Succeeded


class Claim(Message):
    """Which job an upload has become, and what was uploaded: `digest` of the bytes and wishes.

    Without `sent_at` it is not known whether the job's request was ever sent.
    """

    job: str
    digest: str
    at: float
    sent_at: float | None = None


Result = Annotated[Succeeded | Failed, Field(discriminator="status")]


class Reply(Message):
    """Wakes the web process that waits for a job; the result rides along to save it a read."""

    job: str
    result: Result


WorkerState = Literal["booting", "idle", "busy", "draining", "drained", "stopped"]


class WorkerReport(Message):
    """What a worker says of itself, None before it knows: images a second that it can do, the time
    of one image that follows (`service_seconds`), and the share of the time since its last report
    that it was busy. `boot_seconds` are those of its process, whose host had been up for
    `host_up_seconds` when it started.

    `stuck` says what makes no progress, and for how long; None while all does. `fault` says why it
    does not start, and that it will not without a person.
    """

    worker: str
    state: WorkerState
    since: float
    reported_at: float
    started_at: float
    boot_seconds: float | None = None
    host_up_seconds: float | None = None
    in_flight: int = 0
    handled: int = 0
    service_seconds: float | None = None
    capacity_per_second: float | None = None
    busy_share: float | None = None
    stage_seconds: dict[str, float] = Field({})
    boot_phases: dict[str, float] = Field({})
    notice: str | None = None
    stuck: str | None = None
    fault: str | None = None
    model: ModelInfo | None = None
    version: str
    host: str


class Lease(Message):
    """Which scaler acts, until `expires_at`; `term` grows by one with every new holder. For others
    it lasts for so many `seconds` from when they see it; 0: it was released.
    """

    holder: str
    expires_at: float
    term: Annotated[int, Field(ge=0)]
    seconds: float | None = None


class Launch(Value):
    """One launch of instances: all that is needed to ask EC2 for it again, word for word.

    `asker` wrote at `asked_at` that it would ask; until `open_until` an earlier one may be at it.
    """

    decision: str
    attempt: Annotated[int, Field(ge=0)]
    count: Annotated[int, Field(ge=1)]
    template: str
    version: str
    spot: bool
    instance_type: str | None = None
    subnet: str | None = None
    asker: str
    asked_at: float
    open_until: float = 0.0
    confirmed_at: float | None = None
    instances: tuple[str, ...] = ()


class LaunchLedger(Message):
    """`revision` grows with every write, so that no two states have the same ETag."""

    revision: Annotated[int, Field(ge=0)] = 0
    launches: tuple[Launch, ...] = ()


class StatusEntry(Value):
    """One line of the fleet's history: what was seen at a moment, and what was done."""

    at: float
    visible: int
    in_flight: int
    workers: int
    reason: str = ""


class FleetStatus(Message):
    """What the scaler saw, decided and did, for people and pages. `history` is oldest first.

    `boot_seconds` and `service_seconds` are learned, None before; `holder` acts, in its `term`.
    `decision` is the last that changed anything, `reason` that of this look; `fault` says why no
    worker starts, while none is at work. `markets` counts the workers that are bought, and
    `market_reason` says why not all are of the market that is preferred. `usage` is of at most 35
    days, oldest first.
    """

    at: float
    visible: int
    in_flight: int
    minimum: int
    maximum: int
    states: dict[str, int]
    markets: dict[str, int] = Field({})
    market_reason: str = ""
    decision: str
    decided_at: float
    reason: str = ""
    fault: str = ""
    policy: str = ""
    holder: str = ""
    term: int = 0
    boot_seconds: float | None = None
    service_seconds: float | None = None
    alarms: tuple[str, ...] = ()
    history: tuple[StatusEntry, ...] = ()
    usage: tuple[DayUsage, ...] = ()
    cost: FleetCost | None = None


_RESULT: TypeAdapter[Succeeded | Failed] = TypeAdapter(Result)


def encode(message: Message) -> str:
    """Write a message in ASCII: SQS takes the characters of XML 1.0 only, and not U+FFFE."""
    return message.model_dump_json(ensure_ascii=True)


def decode_result(raw: str | bytes) -> Succeeded | Failed:
    """Read a result; raises BadMessage."""
    return _decode(_RESULT.validate_json, raw)


def _decode(read: Callable[[str | bytes], _M], raw: str | bytes) -> _M:
    try:
        return read(raw)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, e['loc'])) or 'message'}: {e['msg']}" for e in error.errors()
        )
        text = raw if isinstance(raw, str) else raw.decode(errors="replace")
        raise BadMessage("; ".join(faults), text) from error
