"""Images classified, between reports and across restarts of workers."""

from visionfleet.contract.messages import WorkerReport, WorkerState
from visionfleet.scaler.handled_images import Throughput
from visionfleet.scaler.incarnations import SeenReport


def report(
    handled: int, at: float, worker: str = "w", state: WorkerState = "busy", started: float = 0.0
) -> SeenReport:
    made = WorkerReport(
        worker=worker,
        state=state,
        since=0.0,
        reported_at=at,
        started_at=started,
        handled=handled,
        version="1",
        host="h",
    )
    return SeenReport(made, at)


def test_throughput_extrapolates_busy_workers_between_reports() -> None:
    handled = Throughput()
    assert handled.count([report(0, 0)], 5) == 0
    assert handled.count([report(60, 30)], 30) == 60
    assert handled.count([report(60, 30)], 40) == 80, "2 a second, for 10 s"
    assert handled.count([report(100, 60)], 60) == 100, "it did fewer, and its word counts"
    assert handled.count([report(100, 60)], 1000) == 100 + 60 * 40 / 30, "not for ever"


def test_throughput_of_an_idle_worker_stays() -> None:
    handled = Throughput()
    handled.count([report(0, 0)], 0)
    assert handled.count([report(10, 10, state="idle")], 30) == 10


def test_throughput_survives_removed_and_restarted_workers() -> None:
    handled = Throughput()
    handled.count([report(0, 0), report(0, 0, "v")], 0)
    assert handled.count([report(50, 10, state="idle"), report(30, 10, "v", "idle")], 10) == 80
    assert handled.count([report(30, 10, "v", "idle")], 20) == 80
    assert handled.count([report(5, 30, "w", "idle", started=25)], 30) == 85


def test_rate_is_right_when_a_workers_clock_is_set() -> None:
    for off in (-3600.0, 3600.0):
        handled = Throughput()
        handled.count([report(0, 0)], 0)
        said = report(60, 30 + off).report
        assert handled.count([SeenReport(said, 30)], 30) == 60
        assert handled.count([SeenReport(said, 30)], 40) == 80, "2 a second, for 10 s"
