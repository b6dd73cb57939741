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
    """The parts used by requests. Without `access` no key is required."""

    config: Config  # replaced by a reload; a request keeps the one it started with
    service: Service
    access: Access | None
    budget: MemoryBudget
    fleet_load: FleetLoad
    readiness: Readiness
    metrics: WebMetrics
    log: RequestLog
    requests: OpenSet = field(default_factory=OpenSet)
    jobs_answered: int = 0
    machine: str = "localhost"  # host name

    def check_host(self, host: str) -> None:
        """Refuse requests for another host name; raises Problem."""
        web = self.config.web
        names = names_of(is_loopback(web.address), web.hosts, self.machine)
        if not is_called(host, names):
            raise Problem("wrong_host", f"{host[:100]} is none of this service's names (web.hosts)")

    def reasons(self) -> list[str]:
        """Why this process is not ready; also triggers a new check of S3 and SQS."""
        self.fleet_load.refresh()
        return self.readiness.reasons()

    def adopt(self, config: Config) -> None:
        """Apply a reloaded configuration; open requests keep the old one."""
        self.config = self.service.submissions.config = config
        self.budget.maximum = config.web.max_held_bytes
        if self.access is not None:
            self.access.per_second = config.web.key_per_second
