"""The events that supervisor sends to listeners, see "Events" in its documentation."""

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

FATAL = "PROCESS_STATE_FATAL"
EXITED = "PROCESS_STATE_EXITED"


@dataclass(frozen=True, slots=True)
class SupervisorEvent:
    name: str
    payload: Mapping[str, str]


def events(
    seconds_to_wait: Callable[[], float | None] = lambda: None,
) -> Iterator[SupervisorEvent | None]:
    """Yield events until supervisor closes stdin, and None after each timeout."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # nothing to clean up
    _answer("READY\n")
    received = b""
    while True:
        readable, _, _ = select.select([0], [], [], seconds_to_wait())
        if not readable:
            yield None
            continue
        piece = os.read(0, 65536)
        if not piece:
            return
        received += piece
        while found := split_event(received):
            event, received = found
            _answer("RESULT 2\nOKREADY\n")
            yield event


def split_event(received: bytes) -> tuple[SupervisorEvent, bytes] | None:
    head, newline, rest = received.partition(b"\n")
    if not newline:
        return None
    header = _fields(head)
    length = int(header["len"])
    if len(rest) < length:
        return None
    return SupervisorEvent(header["eventname"], _fields(rest[:length])), rest[length:]


def _fields(line: bytes) -> dict[str, str]:
    return dict(field.split(":", 1) for field in line.decode().split())


def _answer(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
