"""The routes."""

import re
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from visionfleet.web.classify import AnyPathHandler, ClassifyHandler, JobsHandler, PlainHandler
from visionfleet.web.direct import UploadsHandler
from visionfleet.web.handler import Handler, Rules
from visionfleet.web.health import (
    DescriptionHandler,
    FleetHandler,
    LivenessHandler,
    ReadinessHandler,
)
from visionfleet.web.jobs import JobHandler
from visionfleet.web.open_inference import (
    InferHandler,
    LiveHandler,
    ModelHandler,
    ModelReadyHandler,
    ReadyHandler,
    ServerHandler,
)
from visionfleet.web.service import Service

# The paths as they stand in the description of the API and in the metrics.
ROUTES: tuple[tuple[str, type[Handler]], ...] = (
    ("/", PlainHandler),
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

# A whole upload must be in by then: 20 MiB at 70 kB/s.
BODY_SECONDS = 300.0
# An idle connection is kept for longer than load balancers keep theirs (60 s), so that it is never
# closed at the moment of its next use.
IDLE_SECONDS = 120.0
# The handlers bound bodies themselves and answer with 413; beyond this Tornado's bare 400 comes.
_NO_LIMIT = 1 << 60


def application(service: Service, rules: Rules) -> Application:
    """Make the application; requests are logged by the handlers, so not by Tornado."""
    given: dict[str, Any] = {"service": service, "rules": rules}
    return Application(
        [(_pattern(route), kind, {**given, "route": route}) for route, kind in ROUTES],
        default_handler_class=AnyPathHandler,
        default_handler_args=given,
        log_function=_unlogged,
    )


def _pattern(route: str) -> str:
    return re.sub(r"\{\w+\}", "([^/]+)", route)


def server(routes: Application) -> HTTPServer:
    """Make the server, with its limits against clients that hang."""
    return HTTPServer(
        routes,
        body_timeout=BODY_SECONDS,
        idle_connection_timeout=IDLE_SECONDS,
        max_body_size=_NO_LIMIT,
    )


def _unlogged(_handler: RequestHandler) -> None:
    pass
