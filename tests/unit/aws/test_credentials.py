"""Credentials that outlast failures of their source, and are found anew once refused."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from visionfleet.aws.credentials import ASK_SECONDS, LastingCredentials

REFUSED = {"Error": {"Code": "ExpiredToken"}}


class Source:
    """Credentials of botocore that fail, or hang, as told; `asked` counts."""

    def __init__(self, key: str) -> None:
        self.key, self.asked = key, 0
        self.does: Callable[[], object] = lambda: None

    def get_frozen_credentials(self) -> str:
        self.asked += 1
        self.does()
        return self.key

    def fail(self) -> None:
        raise OSError("away")


class World:
    """One source, a clock that is set, and what is found when credentials are refused."""

    def __init__(self) -> None:
        self.source, self.now, self.finds = Source("first"), 0.0, 0
        self.next: Source | None = None
        self.credentials = LastingCredentials(self.source, self.find, lambda: self.now)

    def find(self) -> Source | None:
        self.finds += 1
        return self.next

    def key(self) -> Any:
        return self.credentials.get_frozen_credentials()


def test_source_that_fails_at_first_is_an_error() -> None:
    world = World()
    world.source.does = world.source.fail
    with pytest.raises(OSError, match="away"):
        world.key()
    world.source.does = lambda: None
    assert world.key() == "first"


def test_last_ones_are_used_while_the_source_fails(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    assert world.key() == "first"
    world.source.does = world.source.fail
    for second in range(1, 31):
        world.now = float(second)
        assert world.key() == "first"
    assert world.source.asked == 1 + 30 // ASK_SECONDS
    world.source.does, world.source.key, world.now = lambda: None, "second", 100.0
    assert world.key() == "second"
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == [("WARNING", "credentials not renewed")]


def test_slow_source_holds_one_thread_and_no_other() -> None:
    world, asked, go_on = World(), threading.Event(), threading.Event()
    assert world.key() == "first"

    def hang() -> None:
        asked.set()
        assert go_on.wait(30)

    world.source.does, world.now = hang, ASK_SECONDS
    slow = threading.Thread(target=world.key)
    slow.start()
    assert asked.wait(30)
    assert world.key() == "first"
    go_on.set()
    slow.join(30)
    assert world.source.asked == 2


def test_refused_credentials_are_found_anew_now_and_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    assert world.key() == "first"
    world.credentials.heard(REFUSED)
    assert (world.finds, world.key()) == (1, "first"), "there are no others"
    world.next = Source("second")
    world.credentials.heard(REFUSED)
    assert (world.finds, world.key()) == (1, "first"), "not at every refusal"
    world.now = ASK_SECONDS
    world.credentials.heard(REFUSED)
    assert (world.finds, world.key()) == (2, "second")
    for answer in ({}, REFUSED):
        world.credentials.heard(answer)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == ["credentials refused"] * 2, "once until a call succeeds"


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "404", ""])
def test_other_errors_are_not_of_the_credentials(code: str) -> None:
    world = World()
    world.credentials.heard({"Error": {"Code": code}} if code else {})
    assert world.finds == 0
