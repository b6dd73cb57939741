"""The route for corrected labels."""

from visionfleet.contract.corrections import fault_of_label
from visionfleet.contract.messages import Failed
from visionfleet.web.jobs.answers import Queued
from visionfleet.web.problems import Problem
from visionfleet.web.routes import parameters
from visionfleet.web.routes.jobs import OneJobHandler
from visionfleet.web.routes.operation import ANY, Operation


class LabelHandler(OneJobHandler):
    body_bytes = 64 << 10

    @Operation(
        "Say what the image of a job shows",
        {200: "Correction"},
        ("bad_body", "too_large", "too_slow", "unknown_job", "gone", "not_answered", *ANY),
        body="label",
    )
    async def put(self, job: str) -> None:
        label = parameters.read_label(self.body.take()[0])
        if fault := fault_of_label(label):
            raise Problem("bad_parameter", f"label: {fault}")
        state = await self.state(job, 0.0)
        if isinstance(state, Failed):
            raise Problem("not_answered", f"the job has failed: {state.reason}", job)
        if isinstance(state, Queued):
            raise Problem("not_answered", "the job has no result yet", job)
        made = await self.service.correct(state, label)
        self.answer(200, made.model_dump(mode="json"))
