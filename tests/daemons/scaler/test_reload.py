"""A scaler as systemd and an operator see it: reload, watchdog, metrics, dry run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from testkit.aws.embedded import Cloud
from testkit.fleet.scaler_daemon import QUICK, lease, scaler_daemon, send, status
from testkit.fleet.supervised import Supervised, supervised
from testkit.processes.daemons import Process
from testkit.processes.notify_socket import NotifySocket, notify_socket
from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until


@pytest.fixture
def workers(aws: Cloud) -> Iterator[Supervised]:
    with supervised(aws.environment, service_seconds=1.0) as made:
        yield made


@contextmanager
def under_systemd(
    aws: Cloud, workers: Supervised, folder: Path, settings: str = QUICK, **variables: str
) -> Iterator[tuple[Process, NotifySocket]]:
    """A scaler that notifies as under systemd."""
    with notify_socket() as listener:
        variables["NOTIFY_SOCKET"] = listener.address
        with scaler_daemon(aws, workers, folder, settings=settings, **variables) as scaler:
            yield scaler, listener


def test_reload_applies_at_the_next_tick_and_keeps_the_history(
    aws: Cloud, workers: Supervised, tmp_path: Path
) -> None:
    config = tmp_path / "scaler.yaml"
    one = QUICK.replace("maximum: 3", "maximum: 1")
    with under_systemd(aws, workers, tmp_path, settings=one) as (scaler, listener):
        send(aws, 60)
        wait_until(lambda: len(workers.pids()) == 1, 60, scaler.tail)
        wait_until(lambda: "maximum of 1" in str(status(aws).get("alarms")), 30, scaler.tail)
        launched = status(aws)["history"]

        faulty = f"{QUICK}  lease_seconds: 4\n  housekeeping_seconds: 5\n"
        said = listener.reload(scaler, config, faulty)
        assert "configuration faulty, nothing changed faults=1" in said
        assert "scaler.lease_seconds: set twice" in said
        assert len(workers.pids()) == 1

        said = listener.reload(scaler, config, f"{QUICK}  metrics_port: 1\nweb: {{port: 9}}\n")
        assert "reloaded changed=scaler.maximum" in said
        assert "needs a restart settings=scaler.metrics_port\n" in said
        wait_until(lambda: len(workers.pids()) == 3, 60, scaler.tail)
        wait_until(lambda: status(aws)["maximum"] == 3, 30, scaler.tail)
        assert status(aws)["history"][: len(launched) - 1] == launched[:-1]
        assert scaler.stop(30)[0] == 0
    assert listener.count("RELOADING=1") == 2
    assert all("MONOTONIC_USEC=" in told for told in listener.told if "RELOADING" in told)


def test_metrics_and_systemd_follow_the_scaler(
    aws: Cloud, workers: Supervised, tmp_path: Path
) -> None:
    port = free_port()

    def scraped() -> list[str]:
        url = f"http://127.0.0.1:{port}/metrics"
        return requests.get(url, timeout=30).text.splitlines()

    served, watched = f"{QUICK}  metrics_port: {port}\n", {"WATCHDOG_USEC": "30000000"}
    with under_systemd(aws, workers, tmp_path, served, **watched) as (scaler, listener):
        wait_until(lambda: listener.count("READY=1") == 1, 60, scaler.tail)
        send(aws, 60)
        wait_until(lambda: len(workers.pids()) == 3, 60, scaler.tail)
        wait_until(lambda: "visionfleet_scaler_launches_total 3.0" in scraped(), 30, scaler.tail)
        assert "visionfleet_scaler_lease_held 1.0" in scraped()
        assert "visionfleet_workers_maximum 3.0" in scraped()
        wait_until(lambda: listener.count("WATCHDOG=1") > 5, 30, scaler.tail)
        assert scaler.stop(30)[0] == 0
    assert listener.count("STOPPING=1") == 1
    assert any(status.startswith("acting: launch") for status in listener.statuses)


def test_dry_run_reports_steps_and_does_nothing(
    aws: Cloud, workers: Supervised, tmp_path: Path
) -> None:
    send(aws, 2)
    with scaler_daemon(aws, workers, tmp_path, "--dry-run", "--once") as scaler:
        scaler.assert_exit(0, 60)
        assert scaler.output() == (
            "would launch 2\nbecause: launch 2: 2 waiting and 0 in flight need 2, there are 0\n"
        )
    assert workers.states() == {}
    assert lease(aws) == status(aws) == {}


def test_watchdog_of_another_process_is_ignored(
    aws: Cloud, workers: Supervised, tmp_path: Path
) -> None:
    watched = {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    with under_systemd(aws, workers, tmp_path, **watched) as (scaler, listener):
        wait_until(lambda: any("STATUS=" in told for told in listener.told), 60, scaler.tail)
    assert listener.count("WATCHDOG=1") == 0
