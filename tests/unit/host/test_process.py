"""What signals do to a loop that waits."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from visionfleet.host.process import SignalEvents, reload_on_hangup, stop_on_signals


def test_signal_ends_the_wait_and_a_reload_is_taken_once() -> None:
    wishes = SignalEvents()
    for wish, over in ((wishes.to_reload, False), (wishes.to_stop, True)):
        timer = threading.Timer(0.05, wish)
        timer.start()
        begun = time.monotonic()
        assert wishes.wait(60) == over
        assert time.monotonic() - begun < 30
        timer.join()
    assert wishes.take_reload()
    assert not wishes.take_reload()


def test_signal_before_the_wait_is_not_lost() -> None:
    wishes = SignalEvents()
    wishes.to_reload()
    assert not wishes.wait(60)
    assert not wishes.wait(0.01)
    assert wishes.take_reload()


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
        got.append(lock.acquire(timeout=10))
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
