"""The faults that a proxy injects, by kind, and how one is drawn for a call."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from random import Random

RESET_BEFORE = "reset before it was forwarded"
LOST_ANSWER = "answer lost"
ERROR = "500"
SLOW_DOWN = "503 SlowDown"
LATENCY = "latency"
OUTAGE = "outage"
CUT_ANSWER = "answer cut"
CUT_ERROR = "error cut"
SKEWED = "RequestTimeTooSkewed"
RECEIVED_TWICE = "received twice"
RECEIVED_LATE = "received after its end"
NOT_DELETED = "deleted in the answer only"
HALF_FAILED = "batch failed in part"


@dataclass(frozen=True)
class Faults:
    """Probabilities per call that a fault may happen to, and the longest delay of latency.

    Of a batch that fails in part, some entries have been done all the same.
    """

    reset_before: float = 0.0
    lost_answer: float = 0.0
    error: float = 0.0
    slow_down: float = 0.0
    latency: float = 0.0
    cut_answer: float = 0.0
    cut_error: float = 0.0
    skewed: float = 0.0
    received_twice: float = 0.0
    received_late: float = 0.0
    not_deleted: float = 0.0
    half_failed: float = 0.0
    latency_seconds: float = 0.5

    def draw(self, random: Random, operation: str) -> str | None:
        """Draw the fault of one call, None for none."""
        point = random.random()
        for kind, share in self._shares(operation).items():
            if point < share:
                return kind
            point -= share
        return None

    def _shares(self, operation: str) -> dict[str, float]:
        """Probabilities in the order of the fields; what cannot happen to such a call has none."""
        names = [field.name for field in fields(self) if field.name != "latency_seconds"]
        return {
            kind: getattr(self, name)
            for name, kind in zip(names, KINDS, strict=True)
            if any(part in operation for part in ONLY.get(kind, ("",)))
        }


# As the fields are.
KINDS = (
    RESET_BEFORE,
    LOST_ANSWER,
    ERROR,
    SLOW_DOWN,
    LATENCY,
    CUT_ANSWER,
    CUT_ERROR,
    SKEWED,
    RECEIVED_TWICE,
    RECEIVED_LATE,
    NOT_DELETED,
    HALF_FAILED,
)
PARTS = ("status line", "headers", "body")


def cut_in(kind: str, part: str) -> str:
    return f"{kind} in its {part}"


# As a proxy counts them.
COUNTED = (
    OUTAGE,
    *(kind for kind in KINDS if kind not in (CUT_ANSWER, CUT_ERROR)),
    *(cut_in(kind, part) for kind in (CUT_ANSWER, CUT_ERROR) for part in PARTS),
)
ONLY = {
    RECEIVED_TWICE: ("SQS ReceiveMessage",),
    RECEIVED_LATE: ("SQS ReceiveMessage",),
    NOT_DELETED: ("SQS DeleteMessage",),
    HALF_FAILED: ("MessageBatch", "VisibilityBatch"),
}


def cut_at_random(raw: bytes, random: Random) -> tuple[str, bytes]:
    """Cut an answer off at any byte; tells in which of its parts, each as likely as another."""
    head = raw.index(b"\r\n\r\n") + 4
    ends = dict(zip(PARTS, (raw.index(b"\r\n"), head, len(raw)), strict=True))
    if head == len(raw):
        del ends["body"]
    part = random.choice(list(ends))
    starts = [0, *ends.values()]
    start = starts[list(ends).index(part)]
    return part, raw[: random.randrange(start, ends[part])]


def split_at_random(entries: Sequence[str], random: Random) -> set[str]:
    """Pick some entries of a batch, at least one."""
    return set(random.sample(list(entries), random.randint(1, len(entries))))
