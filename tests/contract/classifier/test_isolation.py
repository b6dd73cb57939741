"""The isolated process of a job's last try: what its end says of the image."""

import signal
import sys

import pytest

from visionfleet.classifier.isolation import Isolation
from visionfleet.errors import BadImage, TryLater


def child(code: str, seconds: float = 20.0) -> Isolation:
    return Isolation((sys.executable, "-c", f"import os, sys, time; {code}"), seconds)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_image_that_kills_the_isolated_process_is_reported(number: signal.Signals) -> None:
    with pytest.raises(BadImage, match=f"with signal {number.value}") as caught:
        child(f"os.kill(os.getpid(), {number.value})").classify(b"")
    assert caught.value.code == "crashed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_stop_during_isolation_does_not_blame_the_image(number: signal.Signals) -> None:
    """systemd sends TERM to every process of a unit, and Ctrl-C reaches them all."""
    code = f"import signal; signal.signal({number.value}, signal.SIG_DFL)"
    with pytest.raises(TryLater, match="was stopped"):
        child(f"{code}; os.kill(os.getpid(), {number.value})").classify(b"")


def test_isolated_process_that_hangs_is_killed() -> None:
    with pytest.raises(BadImage, match=r"not classified within 0\.5 s"):
        child("time.sleep(60)", seconds=0.5).classify(b"")


def test_failed_isolated_process_does_not_blame_the_image() -> None:
    with pytest.raises(TryLater, match="status 3"):
        child("sys.exit(3)").classify(b"")
