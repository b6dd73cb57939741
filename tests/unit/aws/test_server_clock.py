"""AWS's time: by the dates of its answers, whatever this host takes for the time."""

from email.utils import formatdate

import pytest

from visionfleet.aws.server_clock import ServerClock

TRUE = 1_700_000_000.0


class Host:
    """A host with a wall clock that may be off, and be set."""

    def __init__(self, off: float) -> None:
        self.up, self.off = 100.0, off

    def monotonic(self) -> float:
        return self.up

    def wall(self) -> float:
        return TRUE + self.up + self.off

    def answer(self, off: float = 0.0, status: int = 200) -> dict[str, object]:
        date = formatdate(TRUE + self.up + off, usegmt=True)
        return {"status_code": status, "headers": {"Date": date}}


@pytest.mark.parametrize("off", [-3600.0, 0.0, 3600.0])
def test_first_answer_tells_the_time(off: float) -> None:
    host = Host(off)
    clock = ServerClock(host.monotonic, host.wall)
    assert clock() == host.wall()
    clock.heard(host.answer())
    assert abs(clock() - (TRUE + host.up)) <= 1
    host.off -= 7200  # the host's clock is set
    host.up += 50
    assert abs(clock() - (TRUE + host.up)) <= 1


def test_jitter_of_answers_moves_no_time() -> None:
    host = Host(0.0)
    clock = ServerClock(host.monotonic, host.wall)
    clock.heard(host.answer())
    before = clock()
    for off in (-1.0, 1.0, 0.4):
        clock.heard(host.answer(off))
        assert clock() == before


def test_answers_that_are_not_of_aws_tell_nothing() -> None:
    host = Host(0.0)
    clock = ServerClock(host.monotonic, host.wall)
    clock.heard(host.answer(-9000, status=502))
    for date in ("", "yesterday", "Sat, 99 Foo 2026"):
        clock.note(date)
    assert clock() == host.wall()
