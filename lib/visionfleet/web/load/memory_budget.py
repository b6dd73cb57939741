"""How many bytes of uploads a process holds. No I/O here."""

from visionfleet.web.problems import overloaded

# Uploads leave within the time of a call to S3, so another look soon is worth it.
RETRY_SECONDS = 2.0


class MemoryBudget:
    """Bytes of bodies that come in, and of images on their way to S3.

    There are `most` at the most, which may be changed.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.bytes = 0

    def expect(self, length: int) -> None:
        """Refuse a body that would not fit now; raises Problem.

        Nothing is set aside for it: then a few clients that declare much and send nothing could
        keep everybody out.
        """
        if self.bytes + length > self.most:
            raise overloaded("this server holds as much as it can", RETRY_SECONDS)

    def add(self, length: int) -> None:
        """Count bytes in; raises Problem, and does not count them, when they do not fit."""
        self.expect(length)
        self.bytes += length

    def remove(self, length: int) -> None:
        """Count bytes out."""
        self.bytes -= length

    def move(self, length: int) -> None:
        """Count bytes in that were counted out just now: an image goes from its body to S3."""
        self.bytes += length
