"""The routes."""

from typing import Any

from tornado.web import Application, RequestHandler

from visionfleet.web.classify import ClassifyHandler, JobsHandler, PlainHandler
from visionfleet.web.handler import NotFoundHandler, Rules
from visionfleet.web.health import FleetHandler, LivenessHandler, ReadinessHandler
from visionfleet.web.jobs import JobHandler
from visionfleet.web.service import Service


def application(service: Service, rules: Rules) -> Application:
    """Make the application; requests are logged by the handlers, so not by Tornado."""
    given: dict[str, Any] = {"service": service, "rules": rules}
    return Application(
        [
            (r"/", PlainHandler, given),
            (r"/v1/classify", ClassifyHandler, given),
            (r"/v1/jobs", JobsHandler, given),
            (r"/v1/jobs/([^/]+)", JobHandler, given),
            (r"/v1/fleet", FleetHandler, given),
            (r"/healthz", LivenessHandler, given),
            (r"/readyz", ReadinessHandler, given),
        ],
        default_handler_class=NotFoundHandler,
        default_handler_args=given,
        log_function=_unlogged,
    )


def _unlogged(_handler: RequestHandler) -> None:
    pass
