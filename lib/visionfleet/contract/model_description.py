"""The wire contract: the description of the fleet's model. No I/O here."""

from visionfleet.contract.messages import Message
from visionfleet.contract.values import Value


class ModelInput(Value):
    """A model's input: a centre square of `side` pixels, after a resize."""

    side: int
    shorter_side: int
    interpolation: str


class ModelDescription(Message):
    """The model as described by the worker that started last.

    A best score below `unknown_below` gives no label; `embedding` is the length of embeddings, if
    any.
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
