"""The wire contract: what a worker says of its model. No I/O here."""

from visionfleet.contract.messages import Message
from visionfleet.contract.values import Value


class ModelInput(Value):
    """What a model sees of an image: a square of `side` pixels from the middle, after a resize."""

    side: int
    shorter_side: int
    interpolation: str


class ModelDescription(Message):
    """What the worker that started last says of its model, for people and clients.

    A best score below `unknown_below` has no label; `embedding` is the length of vectors, if any.
    """

    name: str
    fingerprint: str
    labels: tuple[str, ...]
    input: ModelInput
    temperature: float
    unknown_below: float
    embedding: int | None = None
    runtime: str
    precision: str
    device: str
    worker: str
    told_at: float
