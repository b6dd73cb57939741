"""Threads beside the main one: their exceptions are reported, and a hung one is left behind."""

import sys
import threading
import time

from visionfleet.host.daemon_threads import run_bounded, run_in_thread


def test_an_unexpected_exception_is_handed_over() -> None:
    told: list[BaseException] = []
    run_in_thread("odd", lambda: {"here": None}["missing"], told.append).join()
    run_in_thread("exit", lambda: sys.exit(3), told.append).join()
    assert [type(error) for error in told] == [KeyError, SystemExit]


def test_bounded_work_that_hangs_is_left_behind() -> None:
    release, told = threading.Event(), list[BaseException]()
    started = time.monotonic()
    assert not run_bounded("hangs", lambda: (release.wait(), None)[1], 0.05, told.append)
    assert time.monotonic() - started < 5
    release.set()
    assert run_bounded("ends", lambda: None, 5.0, told.append)
    assert told == []
