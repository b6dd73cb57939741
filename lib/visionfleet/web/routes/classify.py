"""Routes that take images and wait for their results."""

import asyncio
import re
from collections.abc import Coroutine, Sequence

from tornado.web import HTTPError

from visionfleet.contract.messages import Succeeded
from visionfleet.contract.names import file_stem
from visionfleet.web.http.form import MAX_FILES, base_name
from visionfleet.web.jobs.answers import Answer, Queued, Upload
from visionfleet.web.jobs.idempotency import Once, once
from visionfleet.web.jobs.pending import Patience
from visionfleet.web.load.admission import Refusal
from visionfleet.web.routes import parameters
from visionfleet.web.routes.base import FORM_BYTES, Handler, document
from visionfleet.web.routes.operation import IMAGES, Operation
from visionfleet.web.routes.page.handler import AssetHandler

# A request with several files may be as large as this many of the largest.
ALL_FILES = 4
# A request that names no wait: proxies and clients commonly give up after 60 s.
WAIT_SECONDS = 30.0
_PLACE = re.compile(r"\{(label|stem)\}")


class ImagesHandler(Handler):
    """What takes images: as they are, in a form, or in JSON."""

    finds_files = keeps_json = True

    async def uploads(self) -> list[Upload]:
        """Hand the files out; raises Problem, Refusal."""
        if not self.has_json:
            return self.body.files()
        sent = parameters.read_start(self.body.take())
        images = await asyncio.to_thread(parameters.decoded_images, sent, MAX_FILES)
        name = base_name(sent.file_name or "")
        uploads = [self.body.part(image, name) for image in images]
        self.body.close()
        return uploads


class PlainHandler(ImagesHandler):
    body_images, body_bytes = 1, FORM_BYTES

    @Operation(
        "Classify one image; the answer is the bare label",
        {200: "text/plain", 202: "Queued"},
        IMAGES,
        body="images",
    )
    async def post(self) -> None:
        """Hold the request until there is a label; the first file counts."""
        patience = Patience(self.config.web.max_wait_seconds, self.gone)
        files = await self.uploads()
        while len(files) > 1:
            files.pop().memory.close()
        name = files[0].file_name
        work = self.service.classify(files.pop(), parameters.TOP_DEFAULT, patience)
        (answer,) = await asyncio.gather(work)
        accept = self.request.headers.get("Accept", "")
        if not isinstance(answer, Succeeded) or wants_json(accept):
            self.answer_job(answer)
            return
        line = plain(self.config.web.plain_reply, answer, name)
        self.note(answer)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(line)


class FrontHandler(AssetHandler, PlainHandler):
    """`/`: the page, and the bare label for who sends an image."""


class AnyPathHandler(PlainHandler):
    """The oldest clients post a form to any path; a mistyped path of the API stays one."""

    def prepare(self) -> None:
        super().prepare()
        media_type = self.content_type.partition(";")[0].strip().lower()
        of_api = self.request.path.split("/")[1] in {"v1", "v2"}
        if self.request.method != "POST" or media_type != "multipart/form-data" or of_api:
            raise HTTPError(404)


class UploadHandler(ImagesHandler):
    """What `/v1/classify` and `/v1/jobs` share: one file or several."""

    body_images, body_bytes = ALL_FILES, FORM_BYTES

    def top(self) -> int:
        return parameters.top(self.get_query_argument("top", None))

    async def files(self, top: int) -> list[tuple[Upload, Once | None]]:
        """Hand the files out, each with what tells it again by the header `Idempotency-Key`."""
        headers = self.request.headers
        key = parameters.idempotency_key(headers.get("Idempotency-Key"))
        files = await self.uploads()
        if key is None:
            return [(file, None) for file in files]
        client = f"{headers.get('Authorization', '')}\0{headers.get('X-API-Key', '')}"
        count = len(files)
        return [
            (file, once(key, client, (number, count), file.data, top))
            for number, file in enumerate(files)
        ]

    async def answer_all(
        self, works: Sequence[Coroutine[None, None, Answer]], member: str, waits: bool = False
    ) -> None:
        """Do all at once, in order; a 503 when none was taken: clients know how to repeat it."""
        answers = await asyncio.gather(*works)
        refused = [one for one in answers if isinstance(one, Refusal) and one.code == "try_later"]
        if len(refused) == len(answers):
            raise refused[0]
        if len(answers) == 1:
            self.answer_job(answers[0])
            return
        for one in answers:
            self.note(one)
        waits = waits or any(isinstance(one, Queued) for one in answers)
        self.answer(202 if waits else 200, {member: [document(one) for one in answers]})


class ClassifyHandler(UploadHandler):
    @Operation(
        "Classify images and wait for the results",
        {200: "results", 202: "results"},
        (*IMAGES, "key_reused"),
        ("wait", "top", "idempotency-key"),
        "images",
    )
    async def post(self) -> None:
        top, longest = self.top(), self.config.web.max_wait_seconds
        wait = self.get_query_argument("wait", None)
        seconds = parameters.wait_seconds(wait, min(WAIT_SECONDS, longest), longest)
        patience, classify = Patience(seconds, self.gone), self.service.classify
        works = [classify(file, top, patience, once) for file, once in await self.files(top)]
        await self.answer_all(works, "results")


def plain(pattern: str, result: Succeeded, file_name: str) -> str:
    """Write the line for plain clients: `{stem}:{label}` becomes `test_0:church`."""
    values = {"label": lambda: result.best, "stem": lambda: file_stem(file_name)}
    return _PLACE.sub(lambda place: values[place[1]](), pattern)


def wants_json(accept: str) -> bool:
    """Tell whether JSON is named, and no text liked better; `*/*` does not. Nothing is refused."""
    liked = dict(_liking(entry) for entry in accept.split(","))
    json = liked.get("application/json", 0.0)
    return json > 0 and json >= liked.get("text/plain", 0.0)


def _liking(entry: str) -> tuple[str, float]:
    media_type, *parameters = (part.strip().lower() for part in entry.split(";"))
    quality = next((one[2:].strip() for one in parameters if one.startswith("q=")), "1")
    try:
        return media_type, float(quality)
    except ValueError:
        return media_type, 0.0
