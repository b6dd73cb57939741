"""The wire contract: what a person says that an image shows. No I/O here."""

from visionfleet.contract.documents import Document
from visionfleet.contract.messages import Message, ModelInfo
from visionfleet.contract.names import correction_key

LONGEST_LABEL = 200


class Correction(Message):
    """The right label of a job, and what the model had said: its best label, sure or not.

    `image_kept` says that the image is kept with it, to learn from; else it was gone by then.
    """

    job: str
    label: str
    at: float
    image_kept: bool
    file_name: str = ""
    answered: str
    score: float
    unsure: bool
    model: ModelInfo


def fault_of_label(label: str) -> str | None:
    """Say what is wrong with a label; None: nothing."""
    if not label or label != label.strip():
        return "expected a label without spaces around it"
    if len(label) > LONGEST_LABEL or not label.isprintable():
        return f"expected at most {LONGEST_LABEL} printable characters"
    return None


def correction(job: str) -> Document[Correction]:
    return Document(correction_key(job), Correction.decode)
