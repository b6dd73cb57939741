"""A budget for the bytes of uploads in memory. No I/O here."""

from dataclasses import dataclass

from visionfleet.web.load.admission import Refusal

# Uploads leave after an S3 call, so retrying soon makes sense.
RETRY_SECONDS = 2.0


@dataclass(slots=True, eq=False)
class MemoryBudget:
    """Counts uploads from arrival until they are stored; a reload sets `maximum`."""

    maximum: int
    used: int = 0

    def expect(self, length: int) -> None:
        """Raise Refusal if a body would not fit now; reserves nothing."""
        # Reserving would let a few clients that declare much and send nothing block all others.
        if self.used + length > self.maximum:
            raise Refusal("overloaded", "this server holds as much as it can", RETRY_SECONDS)


@dataclass(slots=True, eq=False)
class Share:
    """One owner's part of the budget, until closed; closing is idempotent."""

    budget: MemoryBudget
    bytes: int = 0

    def add(self, length: int) -> None:
        """Count bytes; raises Refusal without counting if they do not fit."""
        self.budget.expect(length)
        self.budget.used += length
        self.bytes += length

    def split(self, length: int) -> "Share":
        self.bytes -= length
        return Share(self.budget, length)

    def close(self) -> None:
        self.budget.used -= self.bytes
        self.bytes = 0
