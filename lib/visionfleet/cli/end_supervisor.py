"""`visionfleet end-supervisor`: supervisor's event listener that ends it with its program.

In a container that has one program, supervisord alone is a container that seems to run. Whoever
runs it sees one that has ended, and starts it again or tells somebody.
"""

import argparse
import os
import signal
import sys

from visionfleet.errors import GiveUp
from visionfleet.local.supervisor_events import EXITED, FATAL, SupervisorEvent, events


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """None needed."""


def run(_arguments: argparse.Namespace) -> int:
    if "SUPERVISOR_ENABLED" not in os.environ:
        raise GiveUp("not started by supervisor")
    supervisord = os.getppid()
    for event in events():
        if event and (why := reason(event)):
            # Standard output belongs to supervisor's protocol.
            print(f"end-supervisor: {why}: supervisord is ended", file=sys.stderr, flush=True)
            os.kill(supervisord, signal.SIGTERM)
    return 0


def reason(event: SupervisorEvent) -> str | None:
    """Why supervisord shall end; None if supervisor itself restarts the process."""
    name = event.payload.get("processname", "")
    if event.name == FATAL:
        return f"{name} does not start"
    if event.name == EXITED and event.payload.get("expected") == "1":
        return f"{name} has ended and is not to be started again"
    return None
