"""The routes."""

import re
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from visionfleet.web.classify import ClassifyHandler, JobsHandler, PlainHandler
from visionfleet.web.handler import NotFoundHandler, Rules
from visionfleet.web.health import FleetHandler, LivenessHandler, ReadinessHandler
from visionfleet.web.jobs import JobHandler
from visionfleet.web.page import assets
from visionfleet.web.page.handler import AssetHandler
from visionfleet.web.service import Service

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
    files = assets.load()
    page = {**given, "asset": files.pop(assets.PAGE)}
    return Application(
        [
            (r"/", PlainHandler, page),
            (r"/v1/classify", ClassifyHandler, given),
            (r"/v1/jobs", JobsHandler, given),
            (r"/v1/jobs/([^/]+)", JobHandler, given),
            (r"/v1/fleet", FleetHandler, given),
            (r"/healthz", LivenessHandler, given),
            (r"/readyz", ReadinessHandler, given),
            *(
                (rf"/{re.escape(name)}", AssetHandler, {**given, "asset": asset})
                for name, asset in files.items()
            ),
        ],
        default_handler_class=NotFoundHandler,
        default_handler_args=given,
        log_function=_unlogged,
    )


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
