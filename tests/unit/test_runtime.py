"""What signals ask of a loop."""

import threading
import time

from visionfleet.runtime import Wishes


def test_a_wish_ends_the_wait_at_once_and_a_reload_is_taken_once() -> None:
    wishes = Wishes()
    for wish, over in ((wishes.to_reload, False), (wishes.to_stop, True)):
        timer = threading.Timer(0.05, wish)
        timer.start()
        begun = time.monotonic()
        assert wishes.wait(60) == over
        assert time.monotonic() - begun < 30
        timer.join()
    assert wishes.take_reload()
    assert not wishes.take_reload()


def test_a_wish_before_the_wait_is_not_lost() -> None:
    wishes = Wishes()
    wishes.to_reload()
    assert not wishes.wait(60)
    assert not wishes.wait(0.01)
    assert wishes.take_reload()
