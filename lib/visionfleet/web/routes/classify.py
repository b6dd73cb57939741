"""Routes that take images and wait for their results."""

import asyncio
import re
from collections.abc import Coroutine, Sequence
from dataclasses import replace

from visionfleet.contract.messages import Succeeded
from visionfleet.contract.names import file_stem
from visionfleet.web.http.body import Plain, file_reader, media_type_of
from visionfleet.web.http.form import MAX_FILES, base_name
from visionfleet.web.http.json_body import JsonBody
from visionfleet.web.http.request_log import client_of
from visionfleet.web.http.targets import fault_of_target, oddity
from visionfleet.web.jobs.answers import Answer, Queued, Upload
from visionfleet.web.jobs.idempotency import Once, caller, once
from visionfleet.web.jobs.pending import WaitLimit
from visionfleet.web.load.admission import Refusal
from visionfleet.web.problems import Problem, protocol_error
from visionfleet.web.routes import parameters
from visionfleet.web.routes.base import FORM_BYTES, Handler
from visionfleet.web.routes.documents import document, of_status
from visionfleet.web.routes.operation import IMAGES, Operation
from visionfleet.web.routes.page.handler import AssetHandler

# The body limit of several files, in multiples of the largest.
ALL_FILES = 4
# The default wait: proxies and clients commonly give up after 60 s.
WAIT_SECONDS = 30.0
# The most media types parsed of an Accept header.
ACCEPTED = 32
_PLACE = re.compile(r"\{(label|stem)\}")


class ImagesHandler(Handler):
    """Accepts images: raw, in a form, or in JSON."""

    keeps_json = True

    def reader(self) -> Plain:
        return JsonBody(MAX_FILES) if self.has_json else file_reader(self.content_type)

    def uploads(self) -> list[Upload]:
        """The uploaded files; raises Problem, Refusal."""
        if not self.has_json:
            return self.body.files()
        text, *cut, _ = self.body.take()
        sent = parameters.read_start(text)
        name = base_name(sent.file_name or "")
        images = parameters.decoded_images(sent, cut, MAX_FILES)
        uploads = [self.body.part(image, name) for image in images]
        self.body.close()
        return uploads


class PlainHandler(ImagesHandler):
    body_images, body_bytes = 1, FORM_BYTES

    @Operation(
        "Classify one image; the answer is the bare label",
        {200: "text/plain", 202: "Queued"},
        IMAGES,
        ("request-id",),
        "images",
    )
    async def post(self) -> None:
        """Wait for the label; only the first file counts."""
        limit = WaitLimit(self.config.web.max_wait_seconds, self.gone)
        files = self.uploads()
        while len(files) > 1:
            files.pop().memory.close()
        name = files[0].file_name
        work = self.service.classify(files.pop(), parameters.TOP_DEFAULT, limit)
        (answer,) = await asyncio.gather(work)
        accept = self.request.headers.get("Accept", "")
        if not isinstance(answer, Succeeded) or wants_json(accept):
            self.answer_job(answer)
            return
        self.note(answer)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.set_header("Visionfleet-Score", f"{answer.score:.4f}")
        if answer.reason is not None:
            self.set_header("Visionfleet-Reason", answer.reason)
        web = self.config.web
        pattern = web.plain_unsure if answer.label is None else None
        self.finish(plain(pattern or web.plain_reply, answer, name))


class FrontHandler(AssetHandler, PlainHandler):
    """`/`: GET returns the page, POST the bare label of an image."""


class AnyPathHandler(PlainHandler):
    """The oldest clients post a form to any path; mistyped API paths still get a 404."""

    def check_target(self) -> None:
        super().check_target()
        path, method = self.request.path, self.request.method
        if path == "*" and method == "OPTIONS":
            return
        if fault := fault_of_target(path):
            raise Problem("bad_parameter", fault)
        if path == self.public_path and method in {"GET", "HEAD"}:
            return
        fault, of_api = oddity(path), path.split("/")[1] in {"v1", "v2"}
        if not (fault or of_api) and method == "PUT":
            raise of_status(405, method, path, ("OPTIONS", "POST"))
        is_form = media_type_of(self.content_type) == "multipart/form-data"
        if method != "POST" or not is_form or of_api or fault:
            images = method == "POST" and not of_api
            raise Problem("not_found", _nothing_at(path, fault, images))

    def get(self) -> None:
        """Redirect to the page: reached only at `web.public_path` without a slash."""
        self.redirect(f"{self.public_path}/", status=308)

    def problem_body(self, problem: Problem) -> tuple[str, dict[str, object]]:
        if self.request.path.startswith("/v2/"):
            return protocol_error(problem)
        return super().problem_body(problem)


def _nothing_at(path: str, fault: str, images: bool) -> str:
    said = f"there is nothing at {path[:200]}"
    if fault:
        return f"{said}: {fault}"
    way = "; images go by POST to / or /v1/classify" if images else ""
    return f"{said}, see /openapi.json{way}"


class UploadHandler(ImagesHandler):
    """The base of `/v1/classify` and `/v1/jobs`: one file or several."""

    body_images, body_bytes = ALL_FILES, FORM_BYTES

    def top(self) -> int:
        return parameters.top(self.get_query_argument("top", None))

    def files(self, top: int, embed: bool = False) -> list[tuple[Upload, Once | None]]:
        """The files, each with its identity by `Idempotency-Key`."""
        headers = self.request.headers
        key = parameters.idempotency_key(headers.get("Idempotency-Key"))
        files = [replace(file, embed=embed) for file in self.uploads()]
        if key is None:
            return [(file, None) for file in files]
        said = (headers.get("Authorization", ""), headers.get("X-API-Key", ""))
        address = client_of(self.request, self.config.web.trusted_proxies)
        who, count = caller(*said, address), len(files)
        return [
            (file, once(key, who, (number, count), file.data, top, embed))
            for number, file in enumerate(files)
        ]

    async def answer_all(
        self, works: Sequence[Coroutine[None, None, Answer]], member: str, waits: bool = False
    ) -> None:
        """Process all files concurrently and answer in order; a 503 if none was accepted."""
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
        self.answer(
            202 if waits else 200, {member: [document(one, self.public_path) for one in answers]}
        )


class ClassifyHandler(UploadHandler):
    embed = False

    @Operation(
        "Classify images and wait for the results",
        {200: "results", 202: "results"},
        (*IMAGES, "key_reused"),
        ("wait", "top", "idempotency-key", "request-id"),
        "images",
    )
    async def post(self) -> None:
        top, longest = self.top(), self.config.web.max_wait_seconds
        wait = self.get_query_argument("wait", None)
        seconds = parameters.wait_seconds(wait, min(WAIT_SECONDS, longest), longest)
        limit, files = WaitLimit(seconds, self.gone), self.files(top, self.embed)
        works = [self.answered(file, top, limit, once) for file, once in files]
        await self.answer_all(works, "results")

    async def answered(self, file: Upload, top: int, limit: WaitLimit, once: Once | None) -> Answer:
        return await self.service.classify(file, top, limit, once)


def plain(pattern: str, result: Succeeded, file_name: str) -> str:
    """Fill in the pattern for plain clients: `{stem}:{label}` becomes `test_0:church`."""
    values = {"label": lambda: result.best, "stem": lambda: file_stem(file_name)}
    return _PLACE.sub(lambda place: values[place[1]](), pattern)


def wants_json(accept: str) -> bool:
    """Whether JSON is named explicitly, and not less preferred than text."""
    preferences = dict(_preference(entry) for entry in accept.split(",", ACCEPTED)[:ACCEPTED])
    json = preferences.get("application/json", 0.0)
    return json > 0 and json >= preferences.get("text/plain", 0.0)


def _preference(entry: str) -> tuple[str, float]:
    media_type, *parameters = (part.strip().lower() for part in entry.split(";"))
    quality = next((one[2:].strip() for one in parameters if one.startswith("q=")), "1")
    try:
        return media_type, float(quality)
    except ValueError:
        return media_type, 0.0
