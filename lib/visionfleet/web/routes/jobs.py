"""Asynchronous routes: jobs, their results, and direct uploads to S3."""

from visionfleet.contract.job_ids import is_job_id
from visionfleet.contract.messages import Succeeded
from visionfleet.web.http.form import base_name
from visionfleet.web.jobs.answers import Gone, Queued, Result
from visionfleet.web.jobs.pending import WaitLimit
from visionfleet.web.jobs.service import Service
from visionfleet.web.problems import Problem
from visionfleet.web.routes import parameters
from visionfleet.web.routes.base import Handler
from visionfleet.web.routes.classify import UploadHandler
from visionfleet.web.routes.documents import document, location, of_result
from visionfleet.web.routes.operation import ANY, BODY, FOUND, IMAGES, Operation

GONE = "neither a result nor a request is left of this job: send the image again"


class JobsHandler(UploadHandler):
    @Operation(
        "Accept images, or an upload that is in S3, and do not wait",
        {202: "jobs"},
        (*IMAGES, "key_reused", "unknown_upload"),
        ("top", "idempotency-key", "request-id"),
        "images",
    )
    async def post(self) -> None:
        top, submit = self.top(), self.service.submit
        start = parameters.read_start(self.body.take()[0]) if self.has_json else None
        if start is not None and start.upload is not None:
            self.answer_job(await started(self.service, start.upload, start, top))
            return
        works = [submit(file, top, once) for file, once in self.files(top)]
        await self.answer_all(works, "jobs", waits=True)


async def started(service: Service, upload: str, named: parameters.Named, top: int) -> Queued:
    if not is_job_id(upload):
        raise Problem("unknown_upload", "that is not the id of an upload")
    return await service.start(upload, base_name(named.file_name or ""), top)


class OneJobHandler(Handler):
    async def state(self, job: str, wait_seconds: float) -> Result | Queued:
        """Wait for a job's result; raises Problem, Refusal."""
        if not is_job_id(job):
            raise Problem("unknown_job", "that is not the id of a job")
        found = await self.service.state(job, WaitLimit(wait_seconds, self.gone))
        if found is None:
            raise Problem("unknown_job", f"there is no job {job}")
        if isinstance(found, Gone):
            raise Problem("gone", GONE, job)
        return found


class JobHandler(OneJobHandler):
    @Operation(
        "The result of a job, or its state",
        {200: "result", 202: "Queued"},
        ("unknown_job", "gone", *ANY),
        ("wait",),
    )
    async def get(self, job: str) -> None:
        wait = self.get_query_argument("wait", None)
        seconds = parameters.wait_seconds(wait, 0.0, self.config.web.max_wait_seconds)
        found = await self.state(job, seconds)
        if isinstance(found, Queued):
            self.set_header("Location", location(job, self.public_path))
            self.answer(202, document(found, self.public_path))
        else:
            corrected = await self.service.correction(job) if isinstance(found, Succeeded) else None
            more = {"corrected": corrected.label} if corrected else {}
            self.answer(200, of_result(found) | more)


class UploadsHandler(Handler):
    body_bytes = 64 << 10  # a small JSON object

    @Operation(
        "A place in S3 for a file that shall not pass the web daemon",
        {201: "UploadTarget"},
        (*BODY, *ANY),
        body="target",
    )
    async def post(self) -> None:
        content_type = parameters.read_target(self.body.take()[0])
        self.answer(201, await self.service.presign(content_type))


class UploadedHandler(Handler):
    body_bytes = UploadsHandler.body_bytes

    @Operation(
        "Start the job of an upload that is in S3",
        {202: "Queued"},
        (*BODY, *FOUND, *ANY, "unknown_upload"),
        ("top",),
        "name",
    )
    async def post(self, upload: str) -> None:
        top = parameters.top(self.get_query_argument("top", None))
        named = parameters.read_name(self.body.take()[0])
        self.answer_job(await started(self.service, upload, named, top))
