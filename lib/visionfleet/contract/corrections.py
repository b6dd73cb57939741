"""The wire contract: corrected labels. No I/O here."""

from visionfleet.contract.documents import Document
from visionfleet.contract.messages import Message, ModelInfo
from visionfleet.contract.names import correction_key

LONGEST_LABEL = 200


class Correction(Message):
    """The right label of a job, and the model's best label, sure or not.

    `image_kept`: the image is kept with it as training data; otherwise it was gone.
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
    """What is wrong with a label; None if nothing."""
    if not label or label != label.strip():
        return "expected a label without spaces around it"
    if len(label) > LONGEST_LABEL or not label.isprintable():
        return f"expected at most {LONGEST_LABEL} printable characters"
    return None


def correction(job: str) -> Document[Correction]:
    return Document(correction_key(job), Correction.decode)
