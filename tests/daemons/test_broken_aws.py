"""All three daemons while AWS's answers break off, at every phase, at the start and at work."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from testkit.aws.breaking_proxy import PHASES, BreakingProxy, breaking_proxy
from testkit.aws.embedded import Cloud
from testkit.classifier.daemon import classifier_daemon
from testkit.fleet.scaler_daemon import scaler_daemon
from testkit.fleet.supervised import supervised
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import Process
from testkit.processes.waiting import wait_until
from testkit.web.daemon import Web, launched

pytestmark = pytest.mark.needs_torch

SETTINGS = """
queue: {visibility_timeout_seconds: 10, wait_seconds: 1}
classifier: {report_seconds: 1}
model: {threads: 1}
"""
# Phases at the start: nothing may end by any; these stand for the kinds.
AT_START = ("cut error", "page", "denied")
LOOKS = 4  # broken calls that a phase is to see


@dataclass(frozen=True)
class Service:
    """Daemons that reach AWS by a proxy that breaks answers."""

    aws: Cloud
    proxy: BreakingProxy
    web: Web
    daemons: dict[str, Process]

    def phase_through(self, phase: str) -> None:
        """Break answers so until enough were; an image comes meanwhile."""
        before, self.proxy.phase = self.proxy.broken, phase
        wait_until(lambda: self.proxy.broken >= before + LOOKS, 20, phase)

    def assert_alive(self, phase: str) -> None:
        for name, process in self.daemons.items():
            assert process.running, f"{name} in {phase!r}: {process.tail()}"


@pytest.fixture
def service(aws: Cloud, tmp_path: Path) -> Iterator[Service]:
    labels = [f"label-{i}" for i in range(len(PHASES))]
    model = table_model(tmp_path, [numbered(i) for i in range(len(PHASES))], labels)
    with ExitStack() as stack:
        proxy = stack.enter_context(breaking_proxy(aws.endpoint_url))
        proxy.phase = AT_START[0]
        there = {
            "VISIONFLEET_AWS__ENDPOINT_URL": proxy.url,
            "AWS_MAX_ATTEMPTS": "1",
            "VISIONFLEET_AWS__READ_TIMEOUT_SECONDS": "1",
        }
        workers = stack.enter_context(supervised(aws.environment))
        web = stack.enter_context(launched({**aws.environment, **there}, tmp_path))
        worker = classifier_daemon(aws, tmp_path, "w_9", SETTINGS, **{**model, **there})
        # A queue of its own: its workers are stand-ins, which have no model.
        aws.sqs.create_queue(QueueName="other-requests")
        there["VISIONFLEET_NAME"] = "other"
        scaler = scaler_daemon(aws, workers, tmp_path, **there)
        daemons = {
            "web": web.process,
            "classifier": stack.enter_context(worker),
            "scaler": stack.enter_context(scaler),
        }
        yield Service(aws, proxy, web, daemons)


@pytest.mark.parametrize(("phase", "one_in"), [("cut error", 2), ("denied", 3)])
def test_every_start_gets_on_by_what_is_answered(
    aws: Cloud, tmp_path: Path, phase: str, one_in: int
) -> None:
    """One call in so many is answered: what is asked again after it was would never pass."""
    model = table_model(tmp_path, [numbered(0)], ["label"])
    with ExitStack() as stack:

        def env() -> dict[str, str]:
            proxy = stack.enter_context(breaking_proxy(aws.endpoint_url))
            proxy.phase, proxy.picks = phase, lambda _: proxy.calls.total() % one_in != 0
            return {"VISIONFLEET_AWS__ENDPOINT_URL": proxy.url, "AWS_MAX_ATTEMPTS": "1"}

        workers = stack.enter_context(supervised(aws.environment))
        web = stack.enter_context(launched({**aws.environment, **env()}, tmp_path))
        worker = classifier_daemon(aws, tmp_path, "w_9", SETTINGS, **{**model, **env()})
        scaler = scaler_daemon(aws, workers, tmp_path, **env())
        daemons = [web.process, stack.enter_context(worker), stack.enter_context(scaler)]
        for process in daemons:
            process.wait_for_output(": ready", 90)


def test_no_daemon_ends_and_no_job_is_lost_whatever_breaks(service: Service) -> None:
    for phase in AT_START:
        service.phase_through(phase)
        service.assert_alive(phase)
    service.proxy.phase = None
    service.web.process.wait_for_output("web: ready", 90)
    service.daemons["classifier"].wait_for_output("ready", 180)
    service.daemons["scaler"].wait_for_output("acting", 90)
    jobs = {}
    for number, phase in enumerate(PHASES):
        answer = service.web.post("/v1/jobs", data=encoded(numbered(number)))
        jobs[answer.json()["job"]] = f"label-{number}"
        service.phase_through(phase)
        broken = service.web.post("/v1/jobs", data=encoded(numbered(0)))
        assert broken.status_code in (202, 503), f"{phase}: {broken.text}"
        service.assert_alive(phase)
        service.proxy.phase = None
    wait_until(lambda: all(service.aws.result(job) for job in jobs), 40, "all results")
    found = {job: service.aws.result(job) for job in jobs}
    assert {job: (one or {}).get("label") for job, one in found.items()} == jobs
    for name, process in service.daemons.items():
        assert "crashed" not in process.output(), name
        assert process.stop(30)[0] == 0, process.tail()
