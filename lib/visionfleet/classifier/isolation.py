"""Images are met in child processes: one that ends its process, or never ends, harms no other."""

import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from visionfleet.errors import BadImage, TryLater
from visionfleet.host.child import Answer, Child, ChildEnded, Header

log = logging.getLogger("classifier")

CRASHED = "crashed"
_START_SECONDS = 120.0
# Where these end a child, the whole worker is being ended.
_STOPS = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
# A process's death may be another's fault, as where memory is short; a limit of its own is not.
_FINAL = {signal.SIGXCPU}


class ChildFailed(TryLater):
    """The child failed for a reason of its own; it says nothing about the image, nor about S3."""


@dataclass(slots=True)
class Isolation:
    """`places` children at a time, which run `command`; `done` says what is done to an image there.

    An image that is still there after `slow_seconds` makes way for another, as long as no more than
    `slow_places` do. One that ends its process is tried once more where there is `another_try`.
    """

    command: Sequence[str]
    done: str
    limit_seconds: float
    places: int = 1
    slow_seconds: float = 0.0
    slow_places: int = 0
    another_try: bool = False
    keep: int = 0  # children that wait for work
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _idle: list[Child] = field(default_factory=list)
    _waiting: int = 0
    _quick: int = 0
    _slow: int = 0

    def start(self) -> None:
        """Have a child ready for the first image, and another for when that one ends."""
        self._idle += [Child(self.command) for _ in range(min(2, self.keep))]

    def close(self) -> None:
        while self._idle:
            self._idle.pop().end()

    def ask(self, header: Header, payload: bytes) -> Answer:
        """Raises BadImage with code `crashed` where the image is at fault, else ChildFailed."""
        try:
            return self._ask(header, payload)
        except ChildEnded as ended:
            if -ended.status in _FINAL or not self.another_try:
                raise self._crashed(ended) from ended
            log.warning("image is tried once more", extra={"reason": str(ended)})
        try:
            return self._ask(header, payload, fresh=True)
        except ChildEnded as ended:
            raise self._crashed(ended) from ended

    def _crashed(self, ended: ChildEnded) -> BadImage:
        return BadImage(CRASHED, f"the image ends the process in which it is {self.done}: {ended}")

    def _ask(self, header: Header, payload: bytes, fresh: bool = False) -> Answer:
        with self._place() as place:
            try:
                place.child = self._take(fresh)
                place.child.ask(header, payload)
                return self._answer(place)
            except TimeoutError as error:
                place.end()
                sentence = f"the image was not {self.done} within {self.limit_seconds:g} s"
                raise BadImage(CRASHED, sentence) from error
            except OSError as error:
                raise ChildFailed(f"there is no child process: {error}") from error
            except ChildEnded as ended:
                if -ended.status in _STOPS:
                    raise ChildFailed("the child process was stopped") from ended
                raise

    def _answer(self, place: "_Place") -> Answer:
        assert place.child
        if not self.slow_places:
            return place.child.answer(self.limit_seconds)
        try:
            return place.child.answer(self.slow_seconds)
        except TimeoutError:
            self._make_way(place)
        return place.child.answer(self.limit_seconds - self.slow_seconds)

    def _take(self, fresh: bool) -> Child:
        """Take one that waits for work, which others may do with unless it is to be `fresh`."""
        with self._changed:
            child = self._idle.pop() if self._idle and not fresh else None
        child = child or Child(self.command)
        try:
            child.wait_until_ready(_START_SECONDS)
        except (TimeoutError, ChildEnded) as error:
            child.end()
            raise ChildFailed(f"the child process does not start: {error}") from error
        return child

    @contextmanager
    def _place(self) -> Iterator["_Place"]:
        place = _Place()
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: self._quick < self.places)
            self._waiting -= 1
            self._quick += 1
        try:
            yield place
        finally:
            self._leave(place)

    def _make_way(self, place: "_Place") -> None:
        with self._changed:
            if self._slow == self.slow_places:
                return
            self._quick, self._slow, place.slow = self._quick - 1, self._slow + 1, True
            self._changed.notify()
        assert place.child
        place.child.make_way()

    def _leave(self, place: "_Place") -> None:
        with self._changed:
            if place.slow:
                self._slow -= 1
            else:
                self._quick -= 1
            wanted = len(self._idle) < max(self.keep, min(self._waiting, self.places))
            if place.child and place.child.alive and wanted and not place.slow:
                self._idle.append(place.child)
                place.child = None
            self._changed.notify()
        place.end()


@dataclass(slots=True)
class _Place:
    child: Child | None = None
    slow: bool = False

    def end(self) -> None:
        if self.child:
            self.child.end()
