"""The route for corrected labels."""

from visionfleet.contract.corrections import fault_of_label
from visionfleet.contract.job_ids import is_job_id
from visionfleet.contract.messages import Failed, Succeeded
from visionfleet.web.jobs.answers import Gone, State
from visionfleet.web.jobs.pending import WaitLimit
from visionfleet.web.problems import Problem
from visionfleet.web.routes import parameters
from visionfleet.web.routes.base import Handler
from visionfleet.web.routes.jobs import GONE
from visionfleet.web.routes.operation import ANY, Operation


class LabelHandler(Handler):
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
        if not is_job_id(job):
            raise Problem("unknown_job", "that is not the id of a job")
        state = await self.service.state(job, WaitLimit(0.0, self.gone))
        made = await self.service.correct(_answered(state, job), label)
        self.answer(200, made.model_dump(mode="json"))


def _answered(state: State, job: str) -> Succeeded:
    if state is None:
        raise Problem("unknown_job", f"there is no job {job}")
    if isinstance(state, Gone):
        raise Problem("gone", GONE, job)
    if isinstance(state, Failed):
        raise Problem("not_answered", f"the job has failed: {state.reason}", job)
    if not isinstance(state, Succeeded):
        raise Problem("not_answered", "the job has no result yet", job)
    return state
