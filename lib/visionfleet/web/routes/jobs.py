"""Routes that tell of jobs."""

from visionfleet.contract.job_ids import is_job_id
from visionfleet.web.http import parameters
from visionfleet.web.jobs.responses import Queued, document, status
from visionfleet.web.problems import Problem
from visionfleet.web.routes.base import Handler


class JobHandler(Handler):
    """`/v1/jobs/<job>`: the result of a job, or its state."""

    async def get(self, job: str) -> None:
        """Answer with the result, waiting for it as long as is asked for."""
        wait = self.get_query_argument("wait", None)
        seconds = parameters.seconds(wait, 0.0, self.rules.max_wait_seconds)
        if not is_job_id(job):
            raise Problem("unknown_job", "that is not the id of a job")
        found = await self.service.state(job, self.patience(seconds))
        if found is None:
            raise Problem("unknown_job", f"there is no job {job}")
        if isinstance(found, Queued):
            self.set_header("Location", found.location)
        self.answer(status(found) if isinstance(found, Queued) else 200, document(found))
