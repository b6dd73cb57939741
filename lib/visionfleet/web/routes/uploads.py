"""Routes for files that go to S3 themselves, past this daemon."""

from visionfleet.web.routes.base import Handler
from visionfleet.web.routes.upload_bodies import read_target

# A few short members.
BODY_BYTES = 64 << 10


class UploadsHandler(Handler):
    """`/v1/uploads`: a place in S3 for one file."""

    def body_limit(self) -> int:
        """Bound the body to its JSON."""
        return BODY_BYTES

    async def post(self) -> None:
        """Answer with the form that S3 takes the file by."""
        target = read_target(self.body.take())
        self.answer(201, await self.service.target(target.content_type))
