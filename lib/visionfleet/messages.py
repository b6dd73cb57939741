"""The wire contract: names of objects and queues, and the messages in them. No I/O here.

Messages are small JSON objects with a version field. Unknown fields are ignored, so a newer
sender can talk to an older receiver; a missing or ill-typed field is a BadMessage.
"""

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from visionfleet.errors import BadMessage

_M = TypeVar("_M")


def requests_queue(name: str) -> str:
    """Name the queue of a deployment's requests."""
    return f"{name}-requests"


def dead_queue(name: str) -> str:
    """Name the queue of the requests that failed too often."""
    return f"{name}-requests-dead"


def replies_prefix(name: str) -> str:
    """Start of the names of all reply queues of a deployment."""
    return f"{name}-replies-"


def replies_queue(name: str, host: str, process: str) -> str:
    """Name the reply queue of one web process; SQS allows 80 of [A-Za-z0-9_-]."""
    tidy = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in host)
    room = 80 - len(replies_prefix(name)) - len(process) - 1
    return f"{replies_prefix(name)}{tidy[:room]}-{process}"


def image_key(job: str) -> str:
    """Key of the uploaded bytes in the input bucket."""
    return f"images/{job}"


def result_key(job: str) -> str:
    """Key of the result in the output bucket."""
    return f"results/{job}.json"


def by_name_key(file_name: str) -> str:
    """Key of the bare label under the file's name without its extension: a/b.jpg -> b."""
    return f"results/by-name/{file_stem(file_name)}"


def by_content_key(sha256: str, fingerprint: str) -> str:
    """Key of the answer to these bytes by this model."""
    return f"results/by-content/{sha256}/{fingerprint}.json"


def idempotency_key(name: str) -> str:
    """Key of the job that an upload with an idempotency key has become."""
    return f"idempotency/{name}.json"


def upload_key(upload: str) -> str:
    """Key of a file that a client has put into the input bucket itself."""
    return f"uploads/{upload}"


def file_stem(file_name: str) -> str:
    """Cut the folders and the extension off a file's name: a/b.jpg -> b."""
    base = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    return base.rsplit(".", 1)[0] if "." in base[1:] else base


def worker_key(worker: str) -> str:
    """Key of what a worker reports of itself."""
    return f"{WORKERS_PREFIX}{worker}.json"


def drain_key(worker: str) -> str:
    """Key whose presence asks a worker to take no more work."""
    return f"{DRAIN_PREFIX}{worker}"


def reporting_worker(key: str) -> str | None:
    """Tell whose report a key is; None for any other key."""
    name = key.removeprefix(WORKERS_PREFIX).removesuffix(".json")
    return name if name and "/" not in name and key == worker_key(name) else None


def draining_worker(key: str) -> str | None:
    """Tell who is asked to drain by an object of this key; None for any other key."""
    name = key.removeprefix(DRAIN_PREFIX)
    return name if name and "/" not in name and key == drain_key(name) else None


FLEET_PREFIX = "fleet/"
WORKERS_PREFIX = "fleet/workers/"
DRAIN_PREFIX = "fleet/drain/"
STATUS_KEY = "fleet/status.json"
LEASE_KEY = "fleet/lease.json"
LAUNCHES_KEY = "fleet/launches.json"

# A reply queue is tagged as one, and with the whole Unix second of its last heartbeat.
REPLIES_TAGS = {"visionfleet": "replies"}
HEARTBEAT_TAG = "heartbeat"
HEARTBEAT_SECONDS = 300.0


class _Value(BaseModel):
    """What all parts of messages share: frozen, strict in types, lenient to unknown fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class _Message(_Value):
    """A value that travels by itself and so carries the version of the contract."""

    v: Literal[1] = 1


class Request(_Message):
    """One image to classify. Times are Unix seconds; `expires_at` None never expires."""

    job: str
    key: str
    reply_to: str | None = None
    file_name: str = ""
    top: Annotated[int, Field(ge=1, le=1000)] = 5
    sent_at: float
    expires_at: float | None = None


class Ranked(_Value):
    """One class of a ranking: `score` is its probability, 0 to 1."""

    index: int
    label: str
    score: float


class ModelInfo(_Value):
    """Which model answered: the fingerprint tells two files of one name apart."""

    name: str
    fingerprint: str


class Timings(_Value):
    """Seconds an image spent in each stage; `queue` runs from sending to receiving."""

    queue: float = 0.0
    fetch: float = 0.0
    decode: float = 0.0
    infer: float = 0.0


LOW_CONFIDENCE = "low confidence"


class Succeeded(_Message):
    """The answer to a job. `top` is sorted by score, best first; `label` is its first.

    A model that is not sure gives no label, and a `reason`; its guesses are in `top` all the same.
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

    @property
    def best(self) -> str:
        """The likeliest label, sure or not: what clients get that know of labels alone."""
        return self.top[0].label


class Failed(_Message):
    """Why a job has no answer: a stable `code` for machines, a `reason` for people."""

    status: Literal["failed"] = "failed"
    job: str
    file_name: str = ""
    code: str
    reason: str
    attempts: int
    worker: str
    finished_at: float


class CachedResult(_Message):
    """An answer that is kept by content; `asked` is how long a ranking it could have had."""

    asked: int
    result: Succeeded


class Claim(_Message):
    """Which job an upload has become, and what was uploaded: `digest` of the bytes and wishes."""

    job: str
    digest: str
    at: float


Result = Annotated[Succeeded | Failed, Field(discriminator="status")]


class Reply(_Message):
    """Wakes the web process that waits for a job; the result rides along to save it a read."""

    job: str
    result: Result


WorkerState = Literal["booting", "idle", "busy", "draining", "drained", "stopped"]


class WorkerReport(_Message):
    """What a worker says of itself. `service_seconds` is its mean per image, None before one."""

    worker: str
    state: WorkerState
    since: float
    reported_at: float
    started_at: float
    boot_seconds: float | None = None
    in_flight: int = 0
    handled: int = 0
    service_seconds: float | None = None
    stage_seconds: dict[str, float] = {}
    boot_phases: dict[str, float] = {}
    notice: str | None = None
    model: ModelInfo | None = None
    version: str
    host: str


class Lease(_Message):
    """Which scaler acts, until `expires_at`; `term` grows by one with every new holder."""

    holder: str
    expires_at: float
    term: Annotated[int, Field(ge=0)]


class Launch(_Value):
    """One launch of instances: all that is needed to ask EC2 for it again, word for word.

    `asked_at` is when its last asker, `asker`, wrote that it would ask; until `open_until` an
    earlier one may still be at it. `confirmed_at` is when EC2 had answered with `instances`.
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


class LaunchLedger(_Message):
    """The launches that count for the size of the fleet, written before EC2 is asked for any.

    `revision` grows with every write, so that no two states have the same ETag.
    """

    revision: Annotated[int, Field(ge=0)] = 0
    launches: tuple[Launch, ...] = ()


class StatusEntry(_Value):
    """One line of the fleet's history: what was seen at a moment, and what was done."""

    at: float
    visible: int
    in_flight: int
    workers: int
    reason: str = ""


class FleetStatus(_Message):
    """What the scaler saw, decided and did, for people and pages. `history` is oldest first.

    `boot_seconds` and `service_seconds` are learned, None before; `holder` acts, in its `term`.
    """

    at: float
    visible: int
    in_flight: int
    minimum: int
    maximum: int
    states: dict[str, int]
    decision: str
    decided_at: float
    policy: str = ""
    holder: str = ""
    term: int = 0
    boot_seconds: float | None = None
    service_seconds: float | None = None
    alarms: tuple[str, ...] = ()
    history: tuple[StatusEntry, ...] = ()


_RESULT: TypeAdapter[Succeeded | Failed] = TypeAdapter(Result)


def encode(message: _Message) -> str:
    """Write a message as compact JSON."""
    return message.model_dump_json()


def decode_request(raw: str) -> Request:
    """Read a request; raises BadMessage, which keeps the raw body."""
    return _decode(TypeAdapter(Request), raw)


def decode_reply(raw: str) -> Reply:
    """Read a reply; raises BadMessage."""
    return _decode(TypeAdapter(Reply), raw)


def decode_result(raw: str) -> Succeeded | Failed:
    """Read a result object; raises BadMessage."""
    return _decode(_RESULT, raw)


def decode_cached(raw: str) -> CachedResult:
    """Read an answer that was kept; raises BadMessage."""
    return _decode(TypeAdapter(CachedResult), raw)


def decode_claim(raw: str) -> Claim:
    """Read a claim; raises BadMessage."""
    return _decode(TypeAdapter(Claim), raw)


def decode_report(raw: str) -> WorkerReport:
    """Read a worker's report; raises BadMessage."""
    return _decode(TypeAdapter(WorkerReport), raw)


def decode_status(raw: str) -> FleetStatus:
    """Read the fleet's status; raises BadMessage."""
    return _decode(TypeAdapter(FleetStatus), raw)


def decode_lease(raw: str) -> Lease:
    """Read the scaler's lease; raises BadMessage."""
    return _decode(TypeAdapter(Lease), raw)


def decode_launches(raw: str) -> LaunchLedger:
    """Read the ledger of launches; raises BadMessage."""
    return _decode(TypeAdapter(LaunchLedger), raw)


def _decode(adapter: TypeAdapter[_M], raw: str) -> _M:
    try:
        return adapter.validate_json(raw)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, e['loc'])) or 'message'}: {e['msg']}" for e in error.errors()
        )
        raise BadMessage("; ".join(faults), raw) from error
