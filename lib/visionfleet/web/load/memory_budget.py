"""How many bytes of uploads a process holds, and whose they are. No I/O here."""

from dataclasses import dataclass

from visionfleet.web.load.admission import Refusal

# Uploads leave within the time of a call to S3, so another look soon is worth it.
RETRY_SECONDS = 2.0


@dataclass(slots=True, eq=False)
class MemoryBudget:
    """Bytes of uploads from their arrival until they are stored; `maximum` may be changed."""

    maximum: int
    used: int = 0

    def expect(self, length: int) -> None:
        """Raise Refusal for a body that would not fit now; nothing is set aside for it."""
        # A few clients that declare much and send nothing could else keep everybody out.
        if self.used + length > self.maximum:
            raise Refusal("overloaded", "this server holds as much as it can", RETRY_SECONDS)


@dataclass(slots=True, eq=False)
class Share:
    """What one owner holds of the budget, until it is closed; again does no harm."""

    budget: MemoryBudget
    bytes: int = 0

    def add(self, length: int) -> None:
        """Count bytes in; raises Refusal, and does not count them, when they do not fit."""
        self.budget.expect(length)
        self.budget.used += length
        self.bytes += length

    def split(self, length: int) -> "Share":
        self.bytes -= length
        return Share(self.budget, length)

    def close(self) -> None:
        self.budget.used -= self.bytes
        self.bytes = 0
