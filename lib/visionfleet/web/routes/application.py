"""The routes."""

import re
from typing import Any

from tornado.web import Application, RequestHandler

from visionfleet.web.jobs.service import Service
from visionfleet.web.routes.base import Handler
from visionfleet.web.routes.classify import (
    AnyPathHandler,
    ClassifyHandler,
    FrontHandler,
    JobsHandler,
)
from visionfleet.web.routes.health import (
    DescriptionHandler,
    FleetHandler,
    LivenessHandler,
    ReadinessHandler,
)
from visionfleet.web.routes.jobs import JobHandler
from visionfleet.web.routes.open_inference import (
    InferHandler,
    LiveHandler,
    ModelHandler,
    ModelReadyHandler,
    ReadyHandler,
    ServerHandler,
)
from visionfleet.web.routes.page import assets
from visionfleet.web.routes.page.handler import AssetHandler
from visionfleet.web.routes.uploads import UploadsHandler

# The paths as they stand in the description of the API and in the metrics.
ROUTES: tuple[tuple[str, type[Handler]], ...] = (
    ("/", FrontHandler),
    ("/v1/classify", ClassifyHandler),
    ("/v1/jobs", JobsHandler),
    ("/v1/jobs/{job}", JobHandler),
    ("/v1/uploads", UploadsHandler),
    ("/v1/fleet", FleetHandler),
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


def application(service: Service) -> Application:
    """Make the application; requests are logged by the handlers, so not by Tornado."""
    given: dict[str, Any] = {"service": service}
    files = assets.load()
    more = {"/": {"asset": files.pop(assets.PAGE)}}
    return Application(
        [
            *(
                (_pattern(route), kind, {**given, "route": route, **more.get(route, {})})
                for route, kind in ROUTES
            ),
            *(
                (re.escape(f"/{name}"), AssetHandler, {**given, "route": f"/{name}", "asset": file})
                for name, file in files.items()
            ),
        ],
        default_handler_class=AnyPathHandler,
        default_handler_args=given,
        log_function=_unlogged,
    )


def _pattern(route: str) -> str:
    return re.sub(r"\{\w+\}", "([^/]+)", route)


def _unlogged(_handler: RequestHandler) -> None:
    pass
