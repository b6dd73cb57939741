"""From zero workers to the first answer and back, as a user at one machine sees it."""

import subprocess
import time

import pytest

from testkit import ROOT
from testkit.processes.stack import BIN, stack
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch


def test_first_answer_within_15_s_and_zero_workers_within_30_s(
    capsys: pytest.CaptureFixture[str],
) -> None:
    image = ROOT / "models" / "espresso.jpg"
    with stack() as running:
        assert running.workers() == 0
        began = time.monotonic()
        command = ["curl", "-s", "-w", "|%{http_code}", "-F", f"myfile=@{image}", running.url + "/"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        first = time.monotonic() - began
        body, _, status = answer.stdout.partition("|")
        assert (status, body) == ("200", "espresso"), answer.stdout
        wait_until(lambda: running.workers() >= 1, 30, "the scaler sees the worker")
        answered = time.monotonic()
        wait_until(lambda: running.workers() == 0, 30, running.process.tail)
        zero = time.monotonic() - answered
        assert running.pids("visionfleet-classifier") == []
    with capsys.disabled():
        print(f"\nfirst answer from zero after {first:.1f} s, zero again after {zero:.1f} s")
    assert first < 15
    assert zero < 30


def test_ctrl_c_stops_everything_and_up_starts_again() -> None:
    with stack() as running:
        before = running.commands()
        assert len(before) >= 5, before
        supervisorctl = [str(BIN / "supervisorctl"), "-s"]
        socket = running.environment["VISIONFLEET_SUPERVISOR__SOCKET"]
        subprocess.run([*supervisorctl, f"unix://{socket}", "reload"], check=True, timeout=60)
        old = {pid for pid, line in before.items() if "visionfleet-" in line or "aws" in line}
        wait_until(lambda: not old & set(running.commands()), 60, "the old processes are gone")
        wait_until(lambda: ready(running.url), 60, running.process.tail)
        assert running.process.stop(60)[0] == 0
        assert running.commands() == {}, "nothing is left behind"


def ready(url: str) -> bool:
    return subprocess.run(["curl", "-sf", f"{url}/readyz"], capture_output=True).returncode == 0
