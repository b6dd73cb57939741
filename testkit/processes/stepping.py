"""Runs a piece of work step by step, so that a test decides what happens between two calls."""

import threading
from collections.abc import Callable

from testkit.aws.fakes import Crash


class SteppedWork:
    """Work on a thread that stands still at each call of `hook`, until `step` or `crash`.

    Of the test and all such work only one runs at any time, so a schedule always does the same.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._mine, self._theirs = threading.Semaphore(0), threading.Semaphore(0)
        self._crash = False
        self._error: BaseException | None = None
        self.at = "start"
        self.done = False
        self._thread = threading.Thread(target=self._run, name="stepped work", daemon=True)
        self._thread.start()

    def hook(self, at: str) -> None:
        """Stand still; called by the work itself."""
        self.at = at
        self._theirs.release()
        self._mine.acquire()
        if self._crash:
            raise Crash

    def step(self) -> None:
        """Let the work go on to its next call, or its end; raises what it raised."""
        self._mine.release()
        self._theirs.acquire()
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Let the work go on to its end."""
        while not self.done:
            self.step()

    def crash(self) -> None:
        """End the work where it stands."""
        self._crash = True
        self.finish()

    def _run(self) -> None:
        self._mine.acquire()
        try:
            if not self._crash:
                self._work()
        except Crash:
            pass
        except BaseException as error:
            self._error = error
        self.done = True
        self._theirs.release()
