"""A supervisor event listener that ends supervisord when its program is of no use any more.

In a container that has one program, supervisord alone is a container that seems to run. Whoever
runs it sees one that has ended, and starts it again or tells somebody.
"""

import os
import signal
import sys
from collections.abc import Mapping

from visionfleet.local.supervisor_restarts import answer, end, split_event

FATAL = "PROCESS_STATE_FATAL"
EXITED = "PROCESS_STATE_EXITED"


def reason(event: str, payload: Mapping[str, str]) -> str | None:
    """Tell why supervisord shall end; None for what supervisor itself starts again."""
    name = payload.get("processname", "")
    if event == FATAL:
        return f"{name} does not start"
    if event == EXITED and payload.get("expected") == "1":
        return f"{name} has ended and is not to be started again"
    return None


def listen(supervisord: int) -> None:
    """Answer events until supervisor closes stdin."""
    answer("READY\n")
    received = b""
    while piece := os.read(0, 65536):
        received += piece
        while event := split_event(received):
            header, payload, received = event
            why = reason(header["eventname"], payload)
            if why is not None:
                say(f"{why}: supervisord is ended")
                os.kill(supervisord, signal.SIGTERM)
            answer("RESULT 2\nOKREADY\n")


def say(text: str) -> None:
    """Log one line; stdout belongs to supervisor's protocol."""
    sys.stderr.write(f"end-supervisor: {text}\n")
    sys.stderr.flush()


def main() -> int:
    """Run as supervisor's event listener; the exit status is 1 when it is not one."""
    if "SUPERVISOR_ENABLED" not in os.environ:
        say("not started by supervisor")
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    listen(os.getppid())
    return 0
