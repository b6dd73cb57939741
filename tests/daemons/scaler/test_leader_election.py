"""Leader election between two real scalers: one acts at a time."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.aws.embedded import Cloud
from testkit.fleet.scaler_daemon import lease, scaler_daemon, send, status
from testkit.fleet.supervised import Supervised, supervised
from testkit.processes.daemons import Process
from testkit.processes.waiting import wait_until

# Long enough for a machine on which a tick may take seconds.
LEASE_SECONDS = 6.0
LEASE = {"VISIONFLEET_SCALER__LEASE_SECONDS": str(LEASE_SECONDS)}


@pytest.fixture
def workers(aws: Cloud) -> Iterator[Supervised]:
    with supervised(aws.environment, service_seconds=0.5) as made:
        yield made


def roles(*scalers: Process) -> set[str]:
    text = "".join(scaler.output() for scaler in scalers)
    return {word for word in ("acting", "standby") if f"scaler: {word}" in text}


def test_killed_leader_is_replaced_within_the_lease_time(
    aws: Cloud, workers: Supervised, tmp_path: Path
) -> None:
    with (
        scaler_daemon(aws, workers, tmp_path, name="first", **LEASE) as first,
        scaler_daemon(aws, workers, tmp_path, name="second", **LEASE) as second,
    ):
        wait_until(lambda: roles(first, second) >= {"acting", "standby"}, 60, first.tail)
        active, other = (first, second) if roles(first) == {"acting"} else (second, first)
        send(aws, 200)
        wait_until(lambda: len(workers.pids()) == 3, 60, active.tail)
        pids, term = workers.pids(), lease(aws)["term"]
        assert "launched" not in other.output()
        assert "decision" not in other.output()

        active.kill()
        killed = time.monotonic()
        other.wait_for_output("acting", 30)
        # Some leeway for a busy machine, on which ticks may be late; two leases would be a fault.
        assert time.monotonic() - killed < 2 * LEASE_SECONDS
        assert lease(aws)["term"] == term + 1
        wait_until(lambda: status(aws).get("term") == term + 1, 30, other.tail)
        assert workers.pids() == pids, "the same fleet, neither doubled nor ended"
        wait_until(lambda: workers.states() == {}, 90, other.tail)
        assert other.output().count("standby") == 1


def test_leader_paused_past_its_lease_does_not_act(
    aws: Cloud, workers: Supervised, tmp_path: Path
) -> None:
    with scaler_daemon(aws, workers, tmp_path, name="first", **LEASE) as first:
        first.wait_for_output("acting", 60)
        with scaler_daemon(aws, workers, tmp_path, name="second", **LEASE) as second:
            second.wait_for_output("standby", 60)
            first.signal(signal.SIGSTOP)
            try:
                second.wait_for_output("acting", 30)
                holder = lease(aws)["holder"]
            finally:
                first.signal(signal.SIGCONT)
            first.wait_for_output("lease lost, acts no more", 30)
            send(aws, 3)
            wait_until(lambda: len(workers.states()) == 3, 60, second.tail)
            wait_until(lambda: workers.states() == {}, 60, second.tail)
            assert status(aws)["holder"] == lease(aws)["holder"] == holder
            assert "launched" not in first.output()
            assert "launched" in second.output()


def test_clean_stop_releases_the_lease_at_once(
    aws: Cloud, workers: Supervised, tmp_path: Path
) -> None:
    long = "scaler: {interval_seconds: 0.2, lease_seconds: 600}"
    with scaler_daemon(aws, workers, tmp_path, name="first", settings=long) as first:
        first.wait_for_output("acting", 60)
        with scaler_daemon(aws, workers, tmp_path, name="second", settings=long) as second:
            second.wait_for_output("standby", 60)
            assert first.stop(30)[0] == 0
            second.wait_for_output("acting")


def test_once_option_does_nothing_while_another_leads(
    aws: Cloud, workers: Supervised, tmp_path: Path
) -> None:
    with scaler_daemon(aws, workers, tmp_path, name="first", **LEASE) as first:
        first.wait_for_output("acting", 60)
        term = lease(aws)["term"]
        with scaler_daemon(aws, workers, tmp_path, "--once", name="second", **LEASE) as second:
            second.assert_exit(1, 60)
            assert "standby" in second.output()
        assert lease(aws)["term"] == term


def test_once_option_releases_the_lease(aws: Cloud, workers: Supervised, tmp_path: Path) -> None:
    for name in ("first", "second"):
        with scaler_daemon(aws, workers, tmp_path, "--once", name=name) as process:
            process.assert_exit(0, 60)
    assert lease(aws)["term"] == 2
    assert lease(aws)["expires_at"] <= time.time() + 1  # AWS tells the time in whole seconds
