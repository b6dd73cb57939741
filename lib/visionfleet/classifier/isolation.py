"""Processes images in child processes, so that a crash or a hang harms no other image."""

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
# The whole worker is being stopped when these end a child.
_STOPS = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
# Another process may cause a death, e.g. when memory is short; exceeding its own CPU limit is
# final.
_FINAL = {signal.SIGXCPU}


class ChildFailed(TryLater):
    """The child failed for reasons of its own: neither the image nor S3 is at fault."""


@dataclass(slots=True)
class Isolation:
    """Runs up to `slots` children of `command` at a time; `done` names the step in error messages.

    An image that takes longer than `slow_seconds` frees its slot for another, for up to
    `slow_slots` images. One that kills its process, or gets no answer of it, is retried once with
    `retry_crashed`: something else may have killed or stopped the process.
    """

    command: Sequence[str]
    done: str
    limit_seconds: float
    slots: int = 1
    slow_seconds: float = 0.0
    slow_slots: int = 0
    retry_crashed: bool = False
    keep: int = 0  # idle children kept for reuse
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _idle: list[Child] = field(default_factory=list)
    _waiting: int = 0
    _fast: int = 0
    _slow: int = 0

    def start(self) -> None:
        """Start a child for the first image, and a spare one."""
        self._idle += [Child(self.command) for _ in range(min(2, self.keep))]

    def close(self) -> None:
        while self._idle:
            self._idle.pop().end()

    def ask(self, header: Header, payload: bytes) -> Answer:
        """Raises BadImage with code `crashed` if the image is at fault, else ChildFailed."""
        try:
            return self._ask(header, payload)
        except (ChildEnded, TimeoutError) as failed:
            final = isinstance(failed, ChildEnded) and -failed.status in _FINAL
            if final or not self.retry_crashed:
                raise self._crashed(failed) from failed
            log.warning("image is tried once more", extra={"reason": str(failed)})
        try:
            return self._ask(header, payload, fresh=True)
        except (ChildEnded, TimeoutError) as failed:
            raise self._crashed(failed) from failed

    def _crashed(self, failed: ChildEnded | TimeoutError) -> BadImage:
        if isinstance(failed, TimeoutError):
            sentence = f"the image was not {self.done} within {self.limit_seconds:g} s"
        else:
            sentence = f"the image ends the process in which it is {self.done}: {failed}"
        return BadImage(CRASHED, sentence)

    def _ask(self, header: Header, payload: bytes, fresh: bool = False) -> Answer:
        with self._slot() as slot:
            try:
                slot.child = self._take(fresh)
                slot.child.ask(header, payload)
                return self._answer(slot)
            except TimeoutError:
                slot.end()
                raise
            except OSError as error:
                raise ChildFailed(f"there is no child process: {error}") from error
            except ChildEnded as ended:
                if -ended.status in _STOPS:
                    raise ChildFailed("the child process was stopped") from ended
                raise

    def _answer(self, slot: "_Slot") -> Answer:
        assert slot.child
        if not self.slow_slots:
            return slot.child.answer(self.limit_seconds)
        try:
            return slot.child.answer(self.slow_seconds)
        except TimeoutError:
            self._free_slot_early(slot)
        return slot.child.answer(self.limit_seconds - self.slow_seconds)

    def _take(self, fresh: bool) -> Child:
        """Take an idle child or start one; `fresh`: always start one."""
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
    def _slot(self) -> Iterator["_Slot"]:
        slot = _Slot()
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: self._fast < self.slots)
            self._waiting -= 1
            self._fast += 1
        try:
            yield slot
        finally:
            self._leave(slot)

    def _free_slot_early(self, slot: "_Slot") -> None:
        with self._changed:
            if self._slow == self.slow_slots:
                return
            self._fast, self._slow, slot.slow = self._fast - 1, self._slow + 1, True
            self._changed.notify()
        assert slot.child
        slot.child.lower_priority()

    def _leave(self, slot: "_Slot") -> None:
        with self._changed:
            if slot.slow:
                self._slow -= 1
            else:
                self._fast -= 1
            wanted = len(self._idle) < max(self.keep, min(self._waiting, self.slots))
            if slot.child and slot.child.alive and wanted and not slot.slow:
                self._idle.append(slot.child)
                slot.child = None
            self._changed.notify()
        slot.end()


@dataclass(slots=True)
class _Slot:
    child: Child | None = None
    slow: bool = False

    def end(self) -> None:
        if self.child:
            self.child.end()
