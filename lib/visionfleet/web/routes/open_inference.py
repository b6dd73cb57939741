"""Routes of the Open Inference Protocol, for clients of KServe and Triton."""

import asyncio
import json
from contextlib import suppress
from dataclasses import replace

from visionfleet import __version__
from visionfleet.contract.messages import Failed, Succeeded
from visionfleet.contract.model_description import ModelDescription
from visionfleet.web.http.form import MAX_FILES
from visionfleet.web.http.json_body import JsonBody
from visionfleet.web.jobs.answers import Answer, Queued
from visionfleet.web.jobs.pending import WaitLimit
from visionfleet.web.load.admission import Refusal
from visionfleet.web.problems import Problem, problem_of, protocol_error
from visionfleet.web.routes import open_inference_codec
from visionfleet.web.routes.base import FORM_BYTES, IN_BASE64, Handler
from visionfleet.web.routes.classify import ALL_FILES
from visionfleet.web.routes.documents import location
from visionfleet.web.routes.embed import with_vector
from visionfleet.web.routes.health import ProbeHandler
from visionfleet.web.routes.operation import ACCESS, ANY, IMAGES, OPEN, Operation


class ProtocolHandler(Handler):
    """The base of the routes below `/v2`: errors in the protocol's format."""

    def problem_body(self, problem: Problem) -> tuple[str, dict[str, object]]:
        return protocol_error(problem)

    async def known(self, model: str, version: str | None) -> tuple[str, str | None]:
        """Name and version of the requested model; raises Problem."""
        seen = await self.service.fleet.model()
        name, current = self.config.model.name, None if seen is None else seen.fingerprint
        if model not in {name, "default"}:
            raise Problem("unknown_model", f"unknown model '{model[:80]}', it is '{name}'")
        if version not in {None, "", current}:
            raise Problem("unknown_model", f"model '{name}' has no version '{str(version)[:80]}'")
        return model, current

    def check_ready(self) -> None:
        if reasons := self.context.reasons():
            raise Problem("try_later", "; ".join(reasons))


class ServerHandler(ProtocolHandler):
    @Operation("Name, version, extensions", {200: "any"}, ACCESS, protocol=True)
    def get(self) -> None:
        extensions = list(open_inference_codec.EXTENSIONS)
        self.answer(200, {"name": "visionfleet", "version": __version__, "extensions": extensions})


class LiveHandler(ProtocolHandler, ProbeHandler):
    @Operation("Whether this runs", {200: "any"}, protocol=True)
    def get(self) -> None:
        self.answer(200, {"live": True})


class ReadyHandler(ProtocolHandler, ProbeHandler):
    """200 if this process is ready; no worker needs to run for that."""

    @Operation("Whether images can be classified", {200: "any"}, OPEN, protocol=True)
    def get(self) -> None:
        self.check_ready()
        self.answer(200, {"ready": True})


class ModelHandler(ProtocolHandler):
    @Operation(
        "Inputs and outputs of a model", {200: "any"}, ("unknown_model", *ANY), protocol=True
    )
    async def get(self, model: str, version: str | None = None) -> None:
        named, described = await self.known(model, version), await self.described()
        self.answer(200, open_inference_codec.metadata(named, described))

    async def described(self) -> ModelDescription | None:
        """The workers' model description, None if unknown or if S3 fails."""
        with suppress(Refusal):
            return await self.service.fleet.model_description()
        return None


class ModelReadyHandler(ProtocolHandler):
    @Operation(
        "Whether images can be classified by a model",
        {200: "any"},
        ("unknown_model", *ANY),
        protocol=True,
    )
    async def get(self, model: str, version: str | None = None) -> None:
        name, _ = await self.known(model, version)
        self.check_ready()
        self.answer(200, {"name": name, "ready": True})


class InferHandler(ProtocolHandler):
    # Several files in base64.
    body_images, body_bytes = ALL_FILES * IN_BASE64, FORM_BYTES * 4 // 3

    def reader(self) -> JsonBody:
        length = None
        with suppress(Problem):  # reported once the body has arrived
            length = self.json_length()
        return JsonBody(MAX_FILES, length)

    def json_length(self) -> int | None:
        header = self.request.headers.get(open_inference_codec.HEADER_LENGTH)
        return open_inference_codec.header_length(header)

    @Operation(
        "Classify encoded images, one BYTES tensor; their vectors on request",
        {200: "inference"},
        (*IMAGES, "unknown_model", "timed_out", "no_embedding"),
        ("header-length",),
        "inference",
        protocol=True,
    )
    async def post(self, model: str, version: str | None = None) -> None:
        """Wait until all images are classified; one failure fails the request."""
        named = await self.known(model, version)
        self.json_length()
        request, images = open_inference_codec.read(self.body.take(), MAX_FILES)
        top, longest = request.classes, self.config.web.max_wait_seconds
        seconds = request.timeout_seconds or longest
        limit = WaitLimit(min(seconds, longest), self.gone)
        uploads = [replace(self.body.part(image), embed=request.embed) for image in images]
        self.body.close()
        works = [self.service.classify(upload, top, limit) for upload in uploads]
        del images, uploads
        answers = await asyncio.gather(*works)
        answers = [with_vector(one) for one in answers] if request.embed else answers
        results = [self._succeeded(one) for one in answers]
        version = named[1] or results[0].model.fingerprint
        document, tail = open_inference_codec.answer(request, (named[0], version), results)
        self._send(json.dumps(document).encode(), tail)

    def _succeeded(self, answer: Answer) -> Succeeded:
        if isinstance(answer, Failed | Refusal):
            raise problem_of(answer)
        self.note(answer)
        if isinstance(answer, Queued):
            place = location(answer.job, self.public_path)
            why = f" ({answer.reason})" if answer.reason else ""
            detail = f"no result in time{why}; it will be at {place}"
            raise Problem("timed_out", detail, answer.job, {"Location": place})
        return answer

    def _send(self, head: bytes, tail: bytes) -> None:
        self.set_header("Content-Type", "application/octet-stream" if tail else "application/json")
        if tail:
            self.set_header(open_inference_codec.HEADER_LENGTH, str(len(head)))
        self.finish(head + tail)
