"""The wire contract: messages in queues and objects, whose names are in `names`. No I/O here.

Messages are small JSON objects with a version field. Unknown fields are ignored, so a newer sender
can talk to an older receiver; a missing or ill-typed field is a BadMessage.
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
    """A top-level value, with the version of the contract."""

    v: Literal[1] = 1

    @classmethod
    def decode(cls, raw: str | bytes) -> Self:
        """Parse a message; raises BadMessage, which keeps the raw body."""
        return _decode(cls.model_validate_json, raw)


# What others send may not name an object that S3 cannot have, whatever is tried.
JobName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
ObjectKey = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,1024}$")]
Seconds = Annotated[float, Field(allow_inf_nan=False)]


class Request(Message):
    """One image to classify; `embed` asks for its embedding. `expires_at` None never expires."""

    job: JobName
    key: ObjectKey
    reply_to: str | None = None
    file_name: str = ""
    top: Annotated[int, Field(ge=1, le=1000)] = 5
    sent_at: Seconds
    expires_at: Seconds | None = None
    embed: Annotated[bool, Field(exclude_if=operator.not_)] = False


class Ranked(Value):
    """One class of a ranking: `score` is its probability, 0 to 1."""

    index: int
    label: str
    score: float


class ModelInfo(Value):
    """The model of a result: the fingerprint distinguishes files of the same name."""

    name: str
    fingerprint: str


class Timings(Value):
    """Seconds in each stage; `queue` is from sending to receiving."""

    queue: float = 0.0
    fetch: float = 0.0
    decode: float = 0.0
    infer: float = 0.0


LOW_CONFIDENCE = "low confidence"


class Succeeded(Message):
    """A result. `top` is sorted by score, best first; `label` is its first.

    Without a confident answer there is no label but a `reason`; `top` has the guesses. `vector` is
    the embedding, if requested and available, encoded as in `vectors`.
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
        """The most probable label, sure or not, for clients that know only labels."""
        return self.top[0].label


class Failed(Message):
    """Why a job has no label: a stable `code` for machines, a `reason` for people."""

    status: Literal["failed"] = "failed"
    job: str
    file_name: str = ""
    code: str
    reason: str
    attempts: int
    worker: str
    finished_at: float


class CachedResult(Message):
    """A result cached by content; `asked` is the longest ranking that it can provide."""

    asked: int
    result: Succeeded


class Claim(Message):
    """The job of an upload with an idempotency key; `digest` covers bytes and options.

    Without `sent_at` it is unknown whether the job's request was ever sent.
    """

    job: JobName
    digest: str
    at: float
    sent_at: float | None = None


Result = Annotated[Succeeded | Failed, Field(discriminator="status")]


class Reply(Message):
    """Wakes the web process that waits for a job; includes the result, to save a read."""

    job: str
    result: Result


WorkerState = Literal["booting", "idle", "busy", "draining", "drained", "stopped"]


class WorkerReport(Message):
    """A worker's report; unknown values are None.

    `capacity_per_second` is in images, `service_seconds` its inverse, `busy_share` the utilization
    since the last report. `boot_seconds` is the boot time of its process, which started when its
    host had been up for `host_up_seconds`.

    `stuck` says which loop makes no progress, and for how long. `fault` says why the worker does
    not start until an operator intervenes.
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
    """The acting scaler of a deployment, until `expires_at`; every new holder increases `term`.

    Others wait for `seconds` from when they first see it; 0: it was released.
    """

    holder: str
    expires_at: float
    term: Annotated[int, Field(ge=0)]
    seconds: float | None = None
    deployment: str = ""


class Launch(Value):
    """One launch of instances: everything needed to repeat the identical request.

    `asker` announced at `asked_at` that it would call; until `open_until` a previous call may take
    effect.
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
    """`revision` increases with every write, so that no two states have the same ETag."""

    revision: Annotated[int, Field(ge=0)] = 0
    launches: tuple[Launch, ...] = ()


class StatusEntry(Value):
    """One entry of the fleet's history: what was observed, and what was done."""

    at: float
    visible: int
    in_flight: int
    workers: int
    reason: str = ""


class FleetStatus(Message):
    """What the scaler observed, decided and did. `history` is oldest first.

    `boot_seconds` and `service_seconds` are learned, None before; `holder` is the acting scaler, in
    its `term`. `decision` is the last that changed anything, `reason` that of this tick; `fault`
    says why no worker starts, while none is ready. `markets` counts EC2 workers, and
    `market_reason` says why not all are on the preferred market. `usage` has at most 35 days,
    oldest first.
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
    deployment: str = ""
    boot_seconds: float | None = None
    service_seconds: float | None = None
    alarms: tuple[str, ...] = ()
    history: tuple[StatusEntry, ...] = ()
    usage: tuple[DayUsage, ...] = ()
    cost: FleetCost | None = None


_RESULT: TypeAdapter[Succeeded | Failed] = TypeAdapter(Result)


def encode(message: Message) -> str:
    """Encode as ASCII JSON: SQS accepts only the characters of XML 1.0, and not U+FFFE."""
    return message.model_dump_json(ensure_ascii=True)


def decode_result(raw: str | bytes) -> Succeeded | Failed:
    """Parse a result; raises BadMessage."""
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
