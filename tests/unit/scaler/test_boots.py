"""How long boots take from their launch, and their phases: from a report to the histograms."""

from dataclasses import replace

import pytest

from visionfleet.config import Config
from visionfleet.contract.messages import WorkerReport, WorkerState
from visionfleet.fleet.base import Member
from visionfleet.scaler.boots import Boot
from visionfleet.scaler.decision import Decision, Observation, Policy
from visionfleet.scaler.incarnations import Incarnation, SeenReport
from visionfleet.scaler.metrics import ScalerMetrics

# EC2 says that it launched at 5000, which this scaler's clock has as 100: it looked before that.
INCARNATION = Incarnation(launched_at=5000.0, began_at=100.0, seen_at=104.0, start_observed=True)
BOUGHT, OURS = Member("i-1", 5000.0, market="spot"), Member("classifier_00", 5000.0)
PHASES = {"start": 0.5, "aws": 0.5, "artefact": 0.2, "model": 1.5, "warm_up": 0.3}


def ready(
    state: WorkerState = "idle", *, started_at: float = 5030.0, **more: object
) -> WorkerReport:
    """Its kernel is up for 12 s when its process starts, which is ready after 3 s."""
    made = WorkerReport(
        worker="i-1",
        state=state,
        since=started_at + 3,
        reported_at=started_at + 3.2,
        started_at=started_at,
        boot_seconds=3.0,
        host_up_seconds=12.0,
        boot_phases=PHASES,
        version="1",
        host="h",
    )
    return made.model_copy(update=more)


def boot(
    report: WorkerReport,
    member: Member = BOUGHT,
    seen_at: float = 135.0,
    incarnation: Incarnation = INCARNATION,
) -> Boot | None:
    return incarnation.updated(member, SeenReport(report, seen_at), seen_at).boot


def test_boot_is_counted_from_the_launch() -> None:
    found = boot(ready())
    assert found is not None
    assert found.seconds == pytest.approx(33.0), "not the 3 s of the process"
    assert found.phases == pytest.approx({"instance": 18.0, "system": 12.0} | PHASES)
    assert sum(found.phases.values()) == pytest.approx(found.seconds)


def test_boot_of_a_process_is_its_own() -> None:
    found = boot(ready(started_at=5000.5), OURS, 104.0)
    assert found is not None
    assert found.seconds == pytest.approx(3.5)
    assert found.phases == PHASES, "its machine was not booted for it"


@pytest.mark.parametrize("off", [-3600.0, 3600.0])
def test_wrong_clock_of_a_worker_moves_no_boot_far(off: float) -> None:
    report = ready(started_at=5030.0 + off)
    found = boot(report, seen_at=135.0)
    assert found is not None
    assert 3.0 <= found.seconds <= 35.0
    assert all(seconds >= 0 for seconds in found.phases.values())


@pytest.mark.parametrize(
    ("incarnation", "report", "why"),
    [
        (INCARNATION, ready("booting"), "is not ready"),
        (INCARNATION, ready(boot_seconds=None), "does not tell it, as those of earlier releases"),
        (replace(INCARNATION, start_observed=False, seen_at=135.0), ready(), "was there before us"),
        (replace(INCARNATION, crashes=(110.0,)), ready(), "ended in between"),
        (replace(INCARNATION, up=True), ready(), "was up before"),
    ],
)
def test_boot_that_is_not_known_is_not_told(
    incarnation: Incarnation, report: WorkerReport, why: str
) -> None:
    assert boot(report, incarnation=incarnation) is None, why


def test_boot_is_measured_once() -> None:
    first = INCARNATION.updated(BOUGHT, SeenReport(ready("busy"), 135.0), 135.0)
    later = first.updated(BOUGHT, SeenReport(ready(reported_at=5400.0), 500.0), 500.0)
    assert first.boot is not None
    assert later.boot is first.boot
    again = later.restarted(6000.0, 1100.0, 1104.0)
    assert again.boot is None


def test_boots_are_histograms_by_phase() -> None:
    metrics, policy = ScalerMetrics(), Policy.of(Config(), cores=1)
    boots = (Boot(33.0, {"instance": 18.0, "system": 12.0}), Boot(25.0, {"instance": 14.0}))
    metrics.observed(Observation(0, 0, (), boots=boots), Decision(), policy, 0.0, 0.1)

    def value(name: str, /, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"visionfleet_{name}", labels)

    assert value("launch_to_ready_seconds_sum") == 58.0
    assert value("launch_to_ready_seconds_bucket", le="30.0") == 1
    assert value("boot_phase_seconds_count", phase="instance") == 2
    assert value("boot_phase_seconds_sum", phase="system") == 12.0
