"""Routes of the Open Inference Protocol, so that clients of KServe and Triton work."""

import asyncio

from visionfleet import __version__
from visionfleet.contract.messages import Succeeded
from visionfleet.web.http.multipart import Upload
from visionfleet.web.jobs.responses import Outcome, Queued
from visionfleet.web.problems import Problem
from visionfleet.web.routes import open_inference_codec
from visionfleet.web.routes.base import READING, Handler


class ProtocolHandler(Handler):
    """What the routes below `/v2` share: errors in the protocol's own form."""

    def problem_body(self, problem: Problem) -> tuple[str, dict[str, object]]:
        """Write an error as `{"error": ...}`."""
        return "application/json", {"error": problem.detail}

    async def known(self, model: str, version: str | None) -> tuple[str, str | None]:
        """Find name and version of the model that is asked for; raises Problem."""
        seen = await self.service.model()
        name, current = self.rules.model, None if seen is None else seen.fingerprint
        if model != name:
            raise Problem("unknown_model", f"unknown model '{model[:80]}', it is '{name}'")
        if version not in {None, "", current}:
            raise Problem("unknown_model", f"model '{name}' has no version '{str(version)[:80]}'")
        return name, current


class ServerHandler(ProtocolHandler):
    """`/v2`: what this server is."""

    def get(self) -> None:
        """Answer with name, version and extensions."""
        extensions = list(open_inference_codec.EXTENSIONS)
        self.answer(200, {"name": "visionfleet", "version": __version__, "extensions": extensions})


class LiveHandler(ProtocolHandler):
    """`/v2/health/live`."""

    open_methods = READING
    quiet = True

    def get(self) -> None:
        """Answer at once."""
        self.answer(200, {"live": True})

    head = get


class ReadyHandler(ProtocolHandler):
    """`/v2/health/ready`: 200 when work should come here; no worker need run for that."""

    open_methods = READING
    quiet = True

    def get(self) -> None:
        """Answer from what the process knows already."""
        if reasons := self.service.reasons():
            raise Problem("try_later", "; ".join(reasons))
        self.answer(200, {"ready": True})

    head = get


class ModelHandler(ProtocolHandler):
    """`/v2/models/<model>[/versions/<version>]`: inputs and outputs of the model."""

    async def get(self, model: str, version: str | None = None) -> None:
        """Answer with the metadata."""
        self.answer(200, open_inference_codec.metadata(await self.known(model, version)))


class ModelReadyHandler(ProtocolHandler):
    """`/v2/models/<model>[/versions/<version>]/ready`."""

    async def get(self, model: str, version: str | None = None) -> None:
        """Answer 200 when images of it can be classified."""
        name, _ = await self.known(model, version)
        if reasons := self.service.reasons():
            raise Problem("try_later", "; ".join(reasons))
        self.answer(200, {"name": name, "ready": True})


class InferHandler(ProtocolHandler):
    """`/v2/models/<model>[/versions/<version>]/infer`."""

    def body_limit(self) -> int:
        """Bound the body to several files in base64."""
        return self.rules.all_bytes * 4 // 3

    async def post(self, model: str, version: str | None = None) -> None:
        """Hold the request until all images are classified; one that fails fails them all."""
        named = await self.known(model, version)
        header = self.request.headers.get(open_inference_codec.HEADER_LENGTH)
        request, images = open_inference_codec.read(self.body.take(), header, self.rules.max_files)
        top, seconds = request.output.parameters.classification, self._seconds(request)
        patience = self.patience(seconds)
        works = [self.service.classify(Upload("", "", image), top, patience) for image in images]
        del images
        results = [self._succeeded(one) for one in await asyncio.gather(*works)]
        version = named[1] or results[0].model.fingerprint
        document, tail = open_inference_codec.answer(request, (named[0], version), results)
        self._send(open_inference_codec.head(document), tail)

    def _seconds(self, request: open_inference_codec.InferRequest) -> float:
        asked, most = request.parameters.timeout, self.rules.max_wait_seconds
        return most if not asked else min(asked / 1e6, most)

    def _succeeded(self, outcome: Outcome) -> Succeeded:
        if isinstance(outcome, Problem):
            raise outcome
        self.note(outcome)
        if isinstance(outcome, Queued):
            told = f"no result in time; it will be at {outcome.location}"
            raise Problem("timed_out", told, outcome.job, {"Location": outcome.location})
        return outcome

    def _send(self, head: bytes, tail: bytes) -> None:
        self.set_header("Content-Type", "application/octet-stream" if tail else "application/json")
        if tail:
            self.set_header(open_inference_codec.HEADER_LENGTH, str(len(head)))
        self.finish(head + tail)
