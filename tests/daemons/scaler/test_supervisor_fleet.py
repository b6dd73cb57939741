"""The scaler as a real process: real supervisord, embedded AWS, workers without a model."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from testkit.aws.embedded import Cloud
from testkit.fleet.scaler_daemon import scaler_daemon, send, status
from testkit.fleet.supervised import WORKER, Supervised, supervised
from testkit.processes.daemons import Process
from testkit.processes.waiting import wait_until
from visionfleet.host.supervisor_rpc import connect

Start = Callable[..., AbstractContextManager[Process]]


@pytest.fixture
def workers(aws: Cloud) -> Iterator[Supervised]:
    with supervised(aws.environment, service_seconds=0.5) as made:
        yield made


@pytest.fixture
def start(aws: Cloud, tmp_path: Path) -> Start:
    def begin(workers: Supervised, *options: str, **more: str) -> AbstractContextManager[Process]:
        return scaler_daemon(aws, workers, tmp_path, *options, **more)

    return begin


def test_fleet_scales_from_zero_to_one_and_back(
    aws: Cloud, workers: Supervised, start: Start
) -> None:
    with start(workers) as scaler:
        scaler.wait_for_output("ready", 60)
        assert workers.states() == {}
        send(aws, 1)
        wait_until(lambda: workers.states() == {"classifier_00": "RUNNING"}, 30, scaler.tail)
        wait_until(lambda: workers.states() == {}, 60, scaler.tail)
        wait_until(lambda: status(aws)["states"] == {}, 30, "the status says zero")
    assert aws.counts() == (0, 0)
    assert aws.keys("fleet/workers/") == aws.keys("fleet/drain/") == []
    reasons = [entry["reason"] for entry in status(aws)["history"] if entry["reason"]]
    assert [reason.split(":")[0] for reason in reasons] == ["launch 1", "drain 1", "terminate 1"]


def test_burst_never_exceeds_the_maximum(aws: Cloud, workers: Supervised, start: Start) -> None:
    send(aws, 30)
    peak: set[int] = set()
    with start(workers) as scaler:

        def seen_to_the_end() -> bool:
            peak.add(len(workers.states()))
            return aws.counts() == (0, 0)

        wait_until(seen_to_the_end, 40, scaler.tail)
        wait_until(lambda: workers.states() == {}, 60, scaler.tail)
        told = scaler.output().count("at maximum")
    assert max(peak) == 3
    assert told == 1, "once per episode"
    assert "no more can be opened: 3 is the maximum" in scaler.output()


def test_restarted_scaler_finds_the_same_fleet(
    aws: Cloud, workers: Supervised, start: Start
) -> None:
    send(aws, 400)
    with start(workers) as first:
        wait_until(lambda: len(workers.states()) == 3, 60, first.tail)
        first.kill()
    pids = workers.pids()
    with start(workers) as second:
        second.wait_for_output("ready", 60)
        second.wait_for_output("acting", 60)
        wait_until(lambda: status(aws).get("term") == 2, 60, second.tail)
        assert workers.pids() == pids, "it found them, and neither doubled nor ended one"


def test_dead_worker_is_replaced_while_there_is_work(
    aws: Cloud, workers: Supervised, start: Start
) -> None:
    send(aws, 400)
    with start(workers) as scaler:
        wait_until(lambda: len(workers.pids()) == 3, 60, scaler.tail)
        name, pid = next(iter(workers.pids().items()))

        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: workers.pids().get(name, pid) != pid, 60, scaler.tail)
        assert len(workers.states()) == 3


@pytest.mark.parametrize("status_", [1, 78])
def test_bad_place_is_left_for_another(aws: Cloud, start: Start, status_: int) -> None:
    """All starts of the first process fail: at once and again, or as one that refuses."""
    name, script = "%(program_name)s_%(process_num)02d", WORKER
    bad = f"case $0 in *_00) exit {status_};; esac; exec {sys.executable} {script} $0 $1"
    with supervised(aws.environment, 0.1, f"sh -c '{bad}' {name}") as workers:
        send(aws, 2)
        with start(workers) as scaler:
            wait_until(lambda: aws.counts() == (0, 0), 40, scaler.tail)
            wait_until(lambda: workers.states().keys() <= {"classifier_00"}, 90, scaler.tail)


def test_unresponsive_supervisor_changes_nothing(
    aws: Cloud, workers: Supervised, start: Start
) -> None:
    with start(workers) as scaler:
        scaler.wait_for_output("ready", 60)
        moved = workers.socket.rename(workers.folder / "elsewhere")
        send(aws, 1)
        scaler.wait_for_output("tick failed", 30)
        assert scaler.running
        moved.rename(workers.socket)
        wait_until(lambda: len(workers.states()) == 1, 30, scaler.tail)
        assert scaler.output().count("tick failed") == 1, "told once per episode"


def test_sigterm_stops_the_scaler_and_no_worker(
    aws: Cloud, workers: Supervised, start: Start
) -> None:
    send(aws, 400)
    with start(workers) as scaler:
        wait_until(lambda: len(workers.pids()) == 3, 60, scaler.tail)
        status_, seconds = scaler.stop(30)
        assert (status_, seconds < 15) == (0, True)
        assert len(workers.states()) == 3


def test_once_option_is_one_tick(aws: Cloud, workers: Supervised, start: Start) -> None:
    send(aws, 1)
    with start(workers, "--once") as scaler:
        scaler.assert_exit(0, 60)
    assert len(workers.states()) == 1


def test_simple_policy_is_a_setting(aws: Cloud, workers: Supervised, start: Start) -> None:
    send(aws, 2)
    with start(workers, VISIONFLEET_SCALER__POLICY="per_message") as scaler:
        wait_until(lambda: len(workers.states()) == 2, 60, scaler.tail)
        wait_until(lambda: workers.states() == {}, 60, scaler.tail)


def test_missing_supervisor_group_is_reported(
    aws: Cloud, workers: Supervised, start: Start
) -> None:
    rpc: Any = connect(f"unix://{workers.socket}")
    rpc.supervisor.removeProcessGroup("classifier")
    with start(workers) as scaler:
        scaler.assert_exit(1, 60)
        assert "supervisor has no process group 'classifier'" in scaler.output()
        assert "Traceback" not in scaler.output()
