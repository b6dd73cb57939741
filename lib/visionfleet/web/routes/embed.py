"""The route for embeddings."""

from visionfleet.contract.messages import Failed, Succeeded
from visionfleet.web.jobs.answers import Answer, Upload
from visionfleet.web.jobs.idempotency import Once
from visionfleet.web.jobs.pending import WaitLimit
from visionfleet.web.routes.classify import ClassifyHandler
from visionfleet.web.routes.operation import IMAGES, Operation

NO_VECTOR = (
    "the worker gave no vector: its model has none that can be told, or it is of an older release"
)


class EmbedHandler(ClassifyHandler):
    embed = True

    @Operation(
        "Classify images, and give the vectors of which the model makes its scores",
        {200: "embeddings", 202: "embeddings"},
        (*IMAGES, "key_reused", "no_embedding"),
        ("wait", "top", "idempotency-key", "request-id"),
        "images",
    )
    async def post(self) -> None:
        await super().post()

    async def answered(self, file: Upload, top: int, limit: WaitLimit, once: Once | None) -> Answer:
        return with_vector(await super().answered(file, top, limit, once))


def with_vector(answer: Answer) -> Answer:
    """Pass an answer on, or refuse it if its embedding is missing."""
    if not isinstance(answer, Succeeded) or answer.vector is not None:
        return answer
    return Failed(
        job=answer.job,
        file_name=answer.file_name,
        code="no_embedding",
        reason=NO_VECTOR,
        attempts=answer.attempts,
        worker=answer.worker,
        finished_at=answer.finished_at,
    )
