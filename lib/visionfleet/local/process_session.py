"""The processes of one session (setsid), and their end: nothing of a stack is left behind."""

import contextlib
import ctypes
import os
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>


def members(session: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended just now
            # The name before the last bracket may hold anything, also brackets and spaces.
            state, _parent, _group, its_session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state not in "ZX":
                found.append(int(stat.parent.name))
    return found


def kill_all(session: int) -> None:
    """Kill what is left of a session, also what it starts meanwhile."""
    killed: list[int] = []
    while left := [pid for pid in members(session) if pid not in killed]:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed += left


def end_with_parent() -> None:
    """Ask the kernel for TERM when the parent dies, however it dies; called in the child."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
