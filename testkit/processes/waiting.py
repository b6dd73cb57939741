"""Waiting for a condition with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

Truthy = TypeVar("Truthy")

# Only a failure waits for so long; a process may take seconds on a machine with other work.
PATIENCE_SECONDS = 60.0


def wait_until(
    condition: Callable[[], Truthy | None],
    seconds: float = PATIENCE_SECONDS,
    message: str | Callable[[], str] = "condition",
    interval_seconds: float = 0.02,
) -> Truthy:
    """Call condition until its answer is true and return it; AssertionError when time is over.

    It may take PATIENCE_SECONDS at least, for what has to be quicker is measured. A condition that
    raises ends the wait with its exception. A message that is only known when it is needed (the
    tail of a log) is given as a function.
    """
    seconds = max(seconds, PATIENCE_SECONDS)
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            text = message() if callable(message) else message
            raise AssertionError(f"not within {seconds:g} s: {text} (last answer: {answer!r})")
        time.sleep(interval_seconds)
