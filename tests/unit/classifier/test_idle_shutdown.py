"""When an idle worker without a scaler shuts its machine down, over time."""

import pytest

from visionfleet.classifier.idle_shutdown import (
    MARGIN_SECONDS,
    Idleness,
    alive_until,
    shut_down_reason,
)
from visionfleet.contract.documents import SCALER_SILENT_SECONDS
from visionfleet.contract.messages import FleetStatus, Lease

LIMIT = 900.0


def lease(expires_at: float) -> Lease:
    return Lease(holder="scaler-1", expires_at=expires_at, term=3)


def status(at: float) -> FleetStatus:
    return FleetStatus(
        at=at,
        visible=0,
        in_flight=0,
        minimum=0,
        maximum=2,
        states={},
        decision="hold",
        decided_at=at,
    )


def test_idle_time_starts_at_the_first_check_and_ends_with_work() -> None:
    idleness = Idleness()
    line = [
        # now, in flight, receives with work, idle for
        (100.0, 0, 0, 0.0),
        (400.0, 0, 0, 300.0),
        (500.0, 2, 1, 0.0),
        (800.0, 2, 1, 0.0),
        (900.0, 0, 1, 100.0),
        (1000.0, 0, 1, 200.0),
        (1100.0, 0, 2, 0.0),  # a job came and went between two looks
        (1200.0, 0, 2, 100.0),
    ]
    for now, in_flight, receives, idle in line:
        assert idleness.observe(in_flight, receives, now) == idle, now


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((lease(500.0), None), 500.0),
        ((lease(500.0), status(9000.0)), 500.0),  # a status may be of a scaler that lost its lease
        ((None, status(100.0)), 100.0 + SCALER_SILENT_SECONDS),
        ((None, None), None),
    ],
)
def test_scaler_liveness_is_read_from_its_lease(
    found: tuple[Lease | None, FleetStatus | None], expected: float | None
) -> None:
    assert alive_until(*found) == expected


@pytest.mark.parametrize(
    ("idle", "until", "expected"),
    [
        (899.0, None, False),  # not idle for long enough, whatever the scaler does
        (899.0, 0.0, False),
        (900.0, 10_000.0, False),  # a live scaler decides for itself
        (1e6, 10_000.0 - MARGIN_SECONDS, False),  # clocks differ, scalers are restarted
        (900.0, 10_000.0 - MARGIN_SECONDS - 1, True),
        (900.0, None, True),  # no scaler was ever there
    ],
)
def test_idle_shutdown_decision(idle: float, until: float | None, expected: bool) -> None:
    assert (shut_down_reason(idle, LIMIT, until, now=10_000.0) is not None) is expected


def test_idle_shutdown_reason_gives_both_times() -> None:
    reason = shut_down_reason(901.0, LIMIT, 9_000.0, now=10_000.0)
    assert reason == "idle for 901 s, and the scaler's sign of life expired 1000 s ago"
    reason = shut_down_reason(901.0, LIMIT, None, now=10_000.0)
    assert reason == "idle for 901 s, and no scaler has left a sign of life"


def test_last_worker_shuts_down_after_the_scaler_died() -> None:
    """The lease is renewed until 2000 s, the last job was at 1500 s."""
    idleness, gone = Idleness(), []
    for now in range(0, 4000, 30):
        expires_at = now + 30.0 if now <= 2000 else 2010.0
        idle = idleness.observe(int(1470 <= now <= 1500), 0, float(now))
        if shut_down_reason(idle, LIMIT, alive_until(lease(expires_at), None), float(now)):
            gone.append(now)
    assert gone[0] == 1500 + 900
