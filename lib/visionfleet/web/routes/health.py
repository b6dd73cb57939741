"""Routes about the state of this process and the fleet."""

import json

from visionfleet.web.problems import Problem
from visionfleet.web.routes.base import READING, Handler
from visionfleet.web.routes.operation import ANY, Operation


class ProbeHandler(Handler):
    """Public, and called often."""

    open_methods = READING
    quiet = True


class LivenessHandler(ProbeHandler):
    @Operation("Whether the process answers", {200: "any"})
    def get(self) -> None:
        self.answer(200, {"status": "ok"})


class ReadinessHandler(ProbeHandler):
    @Operation("Whether work should come here", {200: "readiness", 503: "readiness"})
    def get(self) -> None:
        reasons = self.context.reasons()
        self.answer(503 if reasons else 200, {"ready": not reasons, "reasons": reasons})


class ModelHandler(Handler):
    @Operation(
        "The model: its labels, what it sees, when it is unsure",
        {200: "ModelDescription"},
        ("no_model", *ANY),
    )
    async def get(self) -> None:
        described = await self.service.fleet.model_description()
        if described is None:
            raise Problem("no_model", "no worker has told yet which model it has")
        self.answer(200, described.model_dump(mode="json"))


class FleetHandler(Handler):
    @Operation("What the scaler saw, decided and did", {200: "Fleet"}, ("no_status", *ANY))
    async def get(self) -> None:
        found = await self.service.fleet.status()
        try:
            status = json.loads(found or b"")
        except ValueError:
            status = None
        if not isinstance(status, dict):  # missing or unreadable
            raise Problem("no_status", "the scaler has not written a status yet")
        reports = await self.service.fleet.reports()
        workers = [report.model_dump(mode="json") for report in reports]
        self.answer(200, {**status, "workers": workers, "now": self.service.fleet.now()})
