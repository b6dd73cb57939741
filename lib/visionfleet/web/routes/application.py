"""The routes."""

import json
import re
from functools import lru_cache

from tornado.web import Application

from visionfleet.web.routes.base import READING, Handler
from visionfleet.web.routes.classify import AnyPathHandler, ClassifyHandler, FrontHandler
from visionfleet.web.routes.context import Context
from visionfleet.web.routes.embed import EmbedHandler
from visionfleet.web.routes.health import FleetHandler, LivenessHandler, ReadinessHandler
from visionfleet.web.routes.health import ModelHandler as DescribedModelHandler
from visionfleet.web.routes.jobs import JobHandler, JobsHandler, UploadedHandler, UploadsHandler
from visionfleet.web.routes.labels import LabelHandler
from visionfleet.web.routes.open_inference import (
    InferHandler,
    LiveHandler,
    ModelHandler,
    ModelReadyHandler,
    ReadyHandler,
    ServerHandler,
)
from visionfleet.web.routes.openapi import describe
from visionfleet.web.routes.operation import Operation, operations
from visionfleet.web.routes.page.handler import AssetHandler, load_assets


class DescriptionHandler(Handler):
    open_methods = READING

    @Operation("This description", {200: "any"})
    def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        web = self.config.web
        self.finish(description(web.max_wait_seconds, web.public_path))


# The paths as in the API description and in the metrics.
ROUTES: tuple[tuple[str, type[Handler]], ...] = (
    ("/", FrontHandler),
    ("/v1/classify", ClassifyHandler),
    ("/v1/embed", EmbedHandler),
    ("/v1/jobs", JobsHandler),
    ("/v1/jobs/{job}", JobHandler),
    ("/v1/jobs/{job}/label", LabelHandler),
    ("/v1/uploads", UploadsHandler),
    ("/v1/uploads/{upload}", UploadedHandler),
    ("/v1/fleet", FleetHandler),
    ("/v1/model", DescribedModelHandler),
    ("/v2", ServerHandler),
    ("/v2/health/live", LiveHandler),
    ("/v2/health/ready", ReadyHandler),
    ("/v2/models/{model}", ModelHandler),
    ("/v2/models/{model}/ready", ModelReadyHandler),
    ("/v2/models/{model}/infer", InferHandler),
    ("/v2/models/{model}/versions/{version}", ModelHandler),
    ("/v2/models/{model}/versions/{version}/ready", ModelReadyHandler),
    ("/v2/models/{model}/versions/{version}/infer", InferHandler),
    ("/healthz", LivenessHandler),
    ("/readyz", ReadinessHandler),
    ("/openapi.json", DescriptionHandler),
)


@lru_cache(maxsize=1)
def description(max_wait_seconds: float, public_path: str) -> bytes:
    """Built once per configuration: anybody may request it, and building is slow."""
    described = [(path, operations(kind)) for path, kind in ROUTES]
    return json.dumps(describe(described, max_wait_seconds, public_path)).encode()


def application(context: Context) -> Application:
    """The Tornado application; handlers write the access log, not Tornado."""
    assets = load_assets()
    files = ((path, AssetHandler) for path in assets if path != "/")
    return Application(
        [
            (_pattern(route), kind, {"context": context, "route": route})
            for route, kind in (*ROUTES, *files)
        ],
        default_handler_class=AnyPathHandler,
        default_handler_args={"context": context},
        log_function=Handler.leave_unlogged,
        assets=assets,
    )


def _pattern(route: str) -> str:
    return "([^/]+)".join(map(re.escape, re.split(r"\{\w+\}", route)))
