"""Admission control, by tables."""

import pytest

from visionfleet.aws.sqs import Counts
from visionfleet.config.web import WebSection
from visionfleet.contract.documents import SCALER_SILENT_SECONDS
from visionfleet.contract.messages import FleetStatus
from visionfleet.web.load.admission import Load, estimated_wait, refusal
from visionfleet.web.load.fleet_load import load


def seen(backlog: int, ready: int, maximum: int = 10, service: float = 0.5) -> Load:
    return Load(backlog, ready, maximum, service, boot_seconds=60)


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (seen(0, 0), 60),  # nobody is there: a boot
        (seen(0, 1), 0),
        (seen(100, 1), 50),  # done before others could boot
        (seen(120, 1), 60),
        (seen(1320, 1), 60 + (1320 - 120) * 0.5 / 10),  # the rest by the whole fleet
        (seen(2000, 10), 100),  # the fleet is at its maximum
        (seen(2000, 12), 100),  # a maximum that was lowered
        (seen(200, 0), 60 + 10),
        (seen(10, 0, maximum=0), 60 + 5),  # no fleet at all: as if there were one worker
    ],
)
def test_estimated_wait_by_queue_and_fleet(now: Load, seconds: float) -> None:
    assert estimated_wait(now) == pytest.approx(seconds)


def test_estimated_wait_grows_with_the_queue() -> None:
    for ready in range(12):
        waits = [estimated_wait(seen(backlog, ready)) for backlog in range(0, 5000, 7)]
        assert waits == sorted(waits)


WEB = WebSection(max_waiting=100, max_queue_seconds=80)


@pytest.mark.parametrize(
    ("now", "waiting", "web", "retry"),
    [
        (None, 99, WEB, None),  # nothing is known: let it in
        (None, 100, WEB, 1),
        (seen(1600, 10), 99, WEB, None),  # 80 s
        (seen(2000, 10), 99, WEB, 20),  # 100 s: in 20 s it is 80 s
        (seen(0, 10), 100, WEB, 5),  # those who wait here are answered by then
        (seen(10**9, 1), 0, WEB, 3600),
        (seen(10**9, 1), 0, WebSection(max_waiting=100, max_queue_seconds=None), None),
    ],
)
def test_admission_refuses_beyond_waiting_or_queue_limits(
    now: Load | None, waiting: int, web: WebSection, retry: float | None
) -> None:
    refused = refusal(now, waiting, web)
    assert (None if refused is None else refused.retry_seconds) == retry


def test_retry_after_is_long_enough_to_be_admitted() -> None:
    refused = refusal(seen(2000, 10), 0, WEB)
    assert refused
    assert refused.retry_seconds
    done = int(refused.retry_seconds * 10 / 0.5)
    assert refusal(seen(2000 - done, 10), 0, WEB) is None


def status(service_seconds: float | None = None, boot_seconds: float | None = None) -> FleetStatus:
    return FleetStatus(
        at=1000,
        visible=9,
        in_flight=9,
        minimum=0,
        maximum=7,
        states={"booting": 5, "idle": 1, "busy": 2, "draining": 1},
        decision="",
        decided_at=0,
        service_seconds=service_seconds,
        boot_seconds=boot_seconds,
    )


def test_fleet_load_is_read_from_status() -> None:
    counts = Counts(3, 4)
    assert load(counts, None, 0.5, 1000) is None
    assert load(counts, status(), 0.5, 1001 + SCALER_SILENT_SECONDS) is None
    assert load(counts, status(), 0.5, 1010) == Load(7, 3, 7, 0.5, 60)
    assert load(counts, status().model_copy(update={"fault": "no model"}), 0.5, 1010) == Load(
        7, 3, 7, 0.5, 60, "no model"
    )
    learned = status(service_seconds=0.1, boot_seconds=30)
    assert load(counts, learned, 0.5, 1010) == Load(7, 3, 7, 0.1, 30)
