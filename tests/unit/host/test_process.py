"""What signals do to a loop that waits."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import pytest

from visionfleet.host.daemon_threads import EXIT_SOFTWARE
from visionfleet.host.process import (
    SignalEvents,
    open_standard_files,
    reload_on_hangup,
    signal_events,
    stop_on_signals,
)


def test_no_socket_takes_the_place_of_a_closed_standard_file() -> None:
    child = os.fork()
    if not child:
        os.closerange(0, 3)
        setattr(sys, "stdout", None)  # noqa: B010 - as Python has it then
        open_standard_files()
        sys.stdout.flush()
        os._exit(0 if os.open(os.devnull, os.O_RDONLY) > 2 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_signal_ends_the_wait_and_a_reload_is_taken_once() -> None:
    events = SignalEvents()
    for ask, over in ((events.to_reload, False), (events.to_stop, True)):
        timer = threading.Timer(0.05, ask)
        timer.start()
        begun = time.monotonic()
        assert events.wait(60) == over
        assert time.monotonic() - begun < 30
        timer.join()
    assert events.take_reload()
    assert not events.take_reload()


def test_signal_before_the_wait_is_not_lost() -> None:
    events = SignalEvents()
    events.to_reload()
    assert not events.wait(60)
    assert not events.wait(0.01)
    assert events.take_reload()


@pytest.fixture
def handlers() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_is_handled_while_the_main_thread_holds_a_lock(
    number: signal.Signals,
) -> None:
    lock, got, heard = threading.Lock(), list[bool](), threading.Event()

    def answer() -> None:
        got.append(lock.acquire(timeout=60))
        heard.set()

    _answer_signals(answer)
    with lock:
        os.kill(os.getpid(), number)
        time.sleep(0.01)  # a handler that needs the lock would stand here
    assert heard.wait(60)
    assert got == [True]


def _answer_signals(answer: Callable[[], None]) -> None:
    stop_on_signals(lambda _name: answer())
    reload_on_hangup(answer)


@pytest.mark.usefixtures("handlers")
def test_signal_answer_that_raises_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended: SimpleQueue[int] = SimpleQueue()
    monkeypatch.setattr(os, "_exit", ended.put)

    def answer(_name: str) -> None:
        raise ZeroDivisionError

    stop_on_signals(answer)
    os.kill(os.getpid(), signal.SIGTERM)
    assert ended.get(timeout=60) == EXIT_SOFTWARE
    assert [(line.levelname, line.message) for line in caplog.records] == [("CRITICAL", "crashed")]


@pytest.mark.usefixtures("handlers")
def test_stop_is_logged_and_hangup_asks_for_a_reload(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    events = signal_events(logging.getLogger("daemon"))
    os.kill(os.getpid(), signal.SIGHUP)
    assert not events.wait(60)
    assert events.take_reload()
    os.kill(os.getpid(), signal.SIGTERM)
    assert events.wait(60)
    assert [line.message for line in caplog.records] == ["stopping"]
    assert vars(caplog.records[0])["signal"] == "SIGTERM"
