"""`visionfleet end-supervisor`: a supervisor event listener that stops supervisor with its program.

Otherwise a container with one program would keep running supervisord alone. So the container exits,
and its orchestrator restarts it or alerts somebody.
"""

import argparse
import os
import signal
import sys

from visionfleet.cli.parser import Parser
from visionfleet.errors import GiveUp
from visionfleet.local.supervisor_events import EXITED, FATAL, SupervisorEvent, events


def add_arguments(_parser: Parser) -> None:
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
