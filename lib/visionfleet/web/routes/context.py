"""What the handlers of one process share."""

from dataclasses import dataclass, field

from visionfleet.config import Config
from visionfleet.host.loopback import is_loopback
from visionfleet.web.http.auth import Access
from visionfleet.web.http.request_log import RequestLog
from visionfleet.web.http.server import OpenSet
from visionfleet.web.http.targets import is_called, names_of
from visionfleet.web.jobs.service import Service
from visionfleet.web.load.fleet_load import FleetLoad
from visionfleet.web.load.memory_budget import MemoryBudget
from visionfleet.web.load.readiness import Readiness
from visionfleet.web.metrics import WebMetrics
from visionfleet.web.problems import Problem


@dataclass(slots=True)
class Context:
    """The parts that a request meets. `access` None lets everybody in."""

    config: Config  # replaced as a whole; a request keeps the one of its beginning
    service: Service
    access: Access | None
    budget: MemoryBudget
    fleet_load: FleetLoad
    readiness: Readiness
    metrics: WebMetrics
    log: RequestLog
    requests: OpenSet = field(default_factory=OpenSet)
    jobs_answered: int = 0
    machine: str = "localhost"  # its name

    def check_host(self, host: str) -> None:
        """Refuse a request that was sent to another name; raises Problem."""
        web = self.config.web
        names = names_of(is_loopback(web.address), web.hosts, self.machine)
        if not is_called(host, names):
            raise Problem("wrong_host", f"{host[:100]} is none of this service's names (web.hosts)")

    def reasons(self) -> list[str]:
        """List why no work should come here, and look again at S3 and SQS for the next time."""
        self.fleet_load.refresh()
        return self.readiness.reasons()

    def adopt(self, config: Config) -> None:
        """Go by these settings from now on; a request that is open goes by those it began with."""
        self.config = self.service.submissions.config = config
        self.budget.maximum = config.web.max_held_bytes
        if self.access is not None:
            self.access.per_second = config.web.key_per_second
