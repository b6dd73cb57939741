"""Routes that take images."""

import asyncio
from collections.abc import Coroutine, Sequence

from tornado.web import HTTPError

from visionfleet.contract.job_ids import is_job_id
from visionfleet.web.http import parameters
from visionfleet.web.http.body import Body, Files
from visionfleet.web.http.multipart import Upload, base_name, reader
from visionfleet.web.jobs import idempotency
from visionfleet.web.jobs.responses import (
    Outcome,
    Queued,
    document,
    plain,
    status_of_all,
    wants_json,
)
from visionfleet.web.problems import Problem
from visionfleet.web.routes.base import Handler
from visionfleet.web.routes.page.handler import AssetHandler
from visionfleet.web.routes.upload_bodies import read_start


class FilesHandler(Handler):
    """Finds the uploaded files while they come in."""

    def new_body(self) -> Body:
        """Read the body by its type."""
        content_type = self.request.headers.get("Content-Type", "")
        found = reader(content_type, self.rules.max_files)
        return Files(self.body_limit(), self.rules.patience_bytes, self.service.held, found)

    def files(self) -> list[Upload]:
        """Hand the files out; raises Problem."""
        assert isinstance(self.body, Files)
        return self.body.files()


class PlainHandler(FilesHandler):
    """The classification for the oldest and simplest clients."""

    def body_limit(self) -> int:
        """Bound the body to one file."""
        return self.rules.one_bytes

    async def post(self) -> None:
        """Hold the request until there is a label; the first file counts."""
        patience = self.patience(self.rules.plain_wait_seconds)
        upload = self.files()[0]
        name = upload.file_name
        waiting = self.service.classify(upload, parameters.TOP_DEFAULT, patience)
        del upload
        outcome = await waiting
        accept = self.request.headers.get("Accept", "")
        if isinstance(outcome, Problem | Queued) or wants_json(accept):
            self.answer_job(outcome)
            return
        self.note(outcome)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(plain(self.rules.plain_reply, outcome.best, name))


class FrontHandler(AssetHandler, PlainHandler):
    """`/`: the page, and the bare label for who sends an image."""


class AnyPathHandler(PlainHandler):
    """Every path that has no route: a form with a file is classified, all else is not found.

    The oldest clients post to whatever their user types. A mistyped path of the API stays one.
    """

    def prepare(self) -> None:
        """Let forms pass."""
        super().prepare()
        media_type = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        of_api = self.request.path.split("/")[1] in {"v1", "v2"}
        if self.request.method != "POST" or media_type != "multipart/form-data" or of_api:
            raise HTTPError(404)


class UploadHandler(FilesHandler):
    """What `/v1/classify` and `/v1/jobs` share: one file or several."""

    def body_limit(self) -> int:
        """Bound the body to several files."""
        return self.rules.all_bytes

    def top(self) -> int:
        """Read the parameter `top`."""
        return parameters.top(self.get_query_argument("top", None))

    def onces(self, files: Sequence[Upload], top: int) -> list[idempotency.Once | None]:
        """Read the header `Idempotency-Key` for each file."""
        headers = self.request.headers
        key = idempotency.read(headers.get("Idempotency-Key"))
        if key is None:
            return [None] * len(files)
        client = f"{headers.get('Authorization', '')}\0{headers.get('X-API-Key', '')}"
        count = len(files)
        return [
            idempotency.once(key, client, (number, count), file.data, top)
            for number, file in enumerate(files)
        ]

    async def settle(self, works: Sequence[Coroutine[None, None, Outcome]]) -> list[Outcome]:
        """Do the work for all files at once and keep their order.

        When S3 or SQS took none of them, the whole request is answered so: clients and their
        libraries know how to repeat a 503.
        """
        outcomes = list(await asyncio.gather(*works))
        codes = [one.code if isinstance(one, Problem) else "" for one in outcomes]
        if set(codes) == {"try_later"} and isinstance(outcomes[0], Problem):
            raise outcomes[0]
        if len(outcomes) > 1:
            for one in outcomes:
                self.note(one)
        return outcomes


class ClassifyHandler(UploadHandler):
    """`/v1/classify`: waits for the results."""

    async def post(self) -> None:
        """Answer with the result of one file, or with the list for several."""
        rules, top = self.rules, self.top()
        wait = self.get_query_argument("wait", None)
        seconds = parameters.seconds(wait, rules.wait_seconds, rules.max_wait_seconds)
        patience = self.patience(seconds)
        files = self.files()
        outcomes = await self.settle(
            [
                self.service.classify(file, top, patience, once)
                for file, once in zip(files, self.onces(files, top), strict=True)
            ]
        )
        if len(outcomes) == 1:
            self.answer_job(outcomes[0])
        else:
            results = [document(one) for one in outcomes]
            self.answer(status_of_all(outcomes), {"results": results})


class JobsHandler(UploadHandler):
    """`/v1/jobs`: accepts images and does not wait."""

    def new_body(self) -> Body:
        """Keep JSON as it is."""
        return Handler.new_body(self) if self._is_start() else super().new_body()

    async def post(self) -> None:
        """Answer with the job of one file, or with the list for several."""
        top = self.top()
        if self._is_start():
            self.answer_job(await self._start(top))
            return
        files = self.files()
        outcomes = await self.settle(
            [
                self.service.submit(file, top, once)
                for file, once in zip(files, self.onces(files, top), strict=True)
            ]
        )
        if len(outcomes) == 1:
            self.answer_job(outcomes[0])
        else:
            self.answer(202, {"jobs": [document(one) for one in outcomes]})

    def _is_start(self) -> bool:
        return self.request.headers.get("Content-Type", "").startswith("application/json")

    async def _start(self, top: int) -> Queued:
        """Take an upload that the client has put into S3 itself."""
        start = read_start(self.body.take())
        if not is_job_id(start.upload):
            raise Problem("unknown_upload", "that is not the id of an upload")
        return await self.service.start(start.upload, base_name(start.file_name), top)
