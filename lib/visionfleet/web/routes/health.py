"""Routes that tell how this process and the fleet are."""

import json

from visionfleet.web.problems import Problem
from visionfleet.web.routes.base import READING, Handler
from visionfleet.web.routes.openapi import describe


class LivenessHandler(Handler):
    """`/healthz`: 200 while the loop turns."""

    open_methods = READING
    quiet = True

    def get(self) -> None:
        """Answer at once."""
        self.answer(200, {"status": "ok"})

    head = get


class ReadinessHandler(Handler):
    """`/readyz`: 200 when work should come here, else 503 with the reasons."""

    open_methods = READING
    quiet = True

    def get(self) -> None:
        """Answer from what the process knows already."""
        reasons = self.service.reasons()
        self.answer(503 if reasons else 200, {"ready": not reasons, "reasons": reasons})

    head = get


class FleetHandler(Handler):
    """`/v1/fleet`: what the scaler saw, decided and did, and what the workers say."""

    async def get(self) -> None:
        """Answer with the status that the scaler wrote last, as it wrote it, and all reports."""
        found = await self.service.fleet()
        if found is None:
            raise Problem("no_status", "the scaler has not written a status yet")
        try:
            status = json.loads(found)
        except ValueError as error:
            raise Problem("internal", "the scaler's status cannot be read") from error
        reports = await self.service.reports()
        workers = [report.model_dump(mode="json") for report in reports]
        self.answer(200, {**status, "workers": workers})


class DescriptionHandler(Handler):
    """`/openapi.json`: the API described for programs."""

    open_methods = READING

    def get(self) -> None:
        """Answer with the description."""
        self.answer(200, describe(self.rules.max_wait_seconds))
