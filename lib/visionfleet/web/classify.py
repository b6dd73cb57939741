"""Routes that take images."""

import asyncio
from collections.abc import Coroutine, Sequence

from visionfleet.web import parameters
from visionfleet.web.answers import Outcome, Queued, document, plain, status_of_all, wants_json
from visionfleet.web.handler import Handler
from visionfleet.web.page.handler import AssetHandler
from visionfleet.web.problems import Problem


class PlainHandler(AssetHandler):
    """`/`: a page for people, and the classification for the oldest and simplest clients."""

    def body_limit(self) -> int:
        """Bound the body to one file."""
        return self.rules.one_bytes

    async def post(self) -> None:
        """Hold the request until there is a label; the first file counts."""
        patience = self.patience(self.rules.plain_wait_seconds)
        upload = self.files(self.rules.max_files)[0]
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
        self.finish(plain(self.rules.plain_reply, outcome.label, name))


class UploadHandler(Handler):
    """What `/v1/classify` and `/v1/jobs` share: one file or several."""

    def body_limit(self) -> int:
        """Bound the body to several files."""
        return self.rules.all_bytes

    def top(self) -> int:
        """Read the parameter `top`."""
        return parameters.top(self.get_query_argument("top", None))

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
        outcomes = await self.settle(
            [self.service.classify(file, top, patience) for file in self.files(rules.max_files)]
        )
        if len(outcomes) == 1:
            self.answer_job(outcomes[0])
        else:
            results = [document(one) for one in outcomes]
            self.answer(status_of_all(outcomes), {"results": results})


class JobsHandler(UploadHandler):
    """`/v1/jobs`: accepts images and does not wait."""

    async def post(self) -> None:
        """Answer with the job of one file, or with the list for several."""
        top = self.top()
        outcomes = await self.settle(
            [self.service.submit(file, top) for file in self.files(self.rules.max_files)]
        )
        if len(outcomes) == 1:
            self.answer_job(outcomes[0])
        else:
            self.answer(202, {"jobs": [document(one) for one in outcomes]})
