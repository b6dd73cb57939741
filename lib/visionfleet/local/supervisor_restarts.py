"""A supervisor event listener that starts again what supervisor has given up (state FATAL).

systemd does this with Restart=always; supervisor stops trying after `startretries`. Delivery: a
process that reached FATAL while this listener runs is started again, after a wait that grows from
5 s to 60 s while it goes on failing. It never starts what has left FATAL by other hands.
"""

import argparse
import os
import select
import signal
import sys
import time
import xmlrpc.client
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType

from visionfleet.host import supervisor_rpc

FATAL = "PROCESS_STATE_FATAL"

# Faults of supervisor. After SPAWN_ERROR (also: ended at once) it goes on trying by itself, and a
# new event tells when it gives up; after others (NO_FILE ...) the process stays FATAL in silence.
BAD_NAME = 10
SPAWN_ERROR = 50
ALREADY_STARTED = 60
LEFT_ALONE = frozenset({BAD_NAME, SPAWN_ERROR, ALREADY_STARTED})


def say(text: str) -> None:
    """Log one line; stdout belongs to supervisor's protocol."""
    sys.stderr.write(f"revive: {text}\n")
    sys.stderr.flush()


def parse_fields(line: str) -> dict[str, str]:
    """Read `key:value key:value`, the form of an event's header and of its payload."""
    return dict(field.split(":", 1) for field in line.split())


def split_event(received: bytes) -> tuple[dict[str, str], dict[str, str], bytes] | None:
    """Take the first event off what was received: header, payload, the rest; None if not whole."""
    head, newline, rest = received.partition(b"\n")
    if not newline:
        return None
    header = parse_fields(head.decode())
    length = int(header["len"])
    if len(rest) < length:
        return None
    return header, parse_fields(rest[:length].decode()), rest[length:]


@dataclass(frozen=True, slots=True)
class Failure:
    """The last failure of one process: when it was, and the wait that was given for it."""

    at: float
    wait_seconds: float


@dataclass(slots=True)
class Waits:
    """A growing wait for each process, and who is due."""

    first_seconds: float = 5.0
    longest_seconds: float = 60.0
    # Supervisor's own tries take their time before it gives up again (startretries=3: 6 s and the
    # runs), so a failure soon after a start is the same trouble, and one much later a new one.
    forget_seconds: float = 300.0
    failures: dict[str, Failure] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)

    def failed(self, name: str, now: float) -> float:
        """Note a failure; the answer is how long the process has to wait."""
        last = self.failures.get(name)
        if last is None or now - last.at > last.wait_seconds + self.forget_seconds:
            wait = self.first_seconds
        else:
            wait = min(2 * last.wait_seconds, self.longest_seconds)
        self.failures[name] = Failure(now, wait)
        self.due[name] = now + wait
        return wait

    def seconds_to_next(self, now: float) -> float | None:
        """Tell how long nothing is due; None when nobody waits."""
        if not self.due:
            return None
        return max(0.0, min(self.due.values()) - now)

    def take_due(self, now: float) -> list[str]:
        """Take out those whose wait is over, the longest due first."""
        names = sorted(
            (name for name, at in self.due.items() if at <= now), key=self.due.__getitem__
        )
        for name in names:
            del self.due[name]
        return names


class Listener:
    """The conversation with supervisor: events on stdin, the table of waits, calls to start."""

    def __init__(self, server_url: str, groups: Sequence[str]) -> None:
        self.supervisor = supervisor_rpc.connect(server_url)
        self.groups = frozenset(groups)
        self.waits = Waits()
        self.received = b""

    def run(self) -> None:
        """Answer events and start what is due, until supervisor closes stdin."""
        answer("READY\n")
        while self.receive(self.waits.seconds_to_next(time.monotonic())):
            for name in self.waits.take_due(time.monotonic()):
                self.revive(name)

    def receive(self, seconds: float | None) -> bool:
        """Wait this long at most for events and note them; False at the end of stdin."""
        readable, _, _ = select.select([0], [], [], seconds)
        if not readable:
            return True
        piece = os.read(0, 65536)
        self.received += piece
        while event := split_event(self.received):
            header, payload, self.received = event
            self.note(header, payload)
            answer("RESULT 2\nOKREADY\n")
        return piece != b""

    def note(self, header: dict[str, str], payload: dict[str, str]) -> None:
        """Put a process that went FATAL into the table."""
        if header["eventname"] != FATAL or not self.is_ours(payload["groupname"]):
            return
        name = f"{payload['groupname']}:{payload['processname']}"
        wait = self.waits.failed(name, time.monotonic())
        say(f"process={name} state=FATAL wait_seconds={wait:g}")

    def is_ours(self, group: str) -> bool:
        """Tell whether this listener looks after the group; after all if none was named."""
        return not self.groups or group in self.groups

    def revive(self, name: str) -> None:
        """Start one process if it is still FATAL; log what came of it."""
        try:
            say(f"process={name} result={self.start(name)}")
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in LEFT_ALONE:
                say(f"process={name} result=left-alone reason={fault.faultString!r}")
            else:
                self.try_later(name, fault.faultString)
        except OSError as error:
            self.try_later(name, str(error))

    def start(self, name: str) -> str:
        """Ask supervisor to start the process; the word for the log."""
        state = self.supervisor.supervisor.getProcessInfo(name)["statename"]  # type: ignore[index,call-overload]
        if state != "FATAL":
            return f"left-alone state={state}"
        # Without waiting: supervisor tells by another event when it comes to FATAL again.
        self.supervisor.supervisor.startProcess(name, False)
        return "started"

    def try_later(self, name: str, reason: str) -> None:
        """Put the process back into the table, as one that failed once more."""
        wait = self.waits.failed(name, time.monotonic())
        say(f"process={name} result=failed reason={reason!r} wait_seconds={wait:g}")


def answer(text: str) -> None:
    """Write to supervisor."""
    sys.stdout.write(text)
    sys.stdout.flush()


def end(_number: int, _frame: FrameType | None) -> None:
    """End at a signal: there is nothing to finish."""
    sys.exit(0)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m visionfleet.local.supervisor_restarts",
        description="Start again what supervisor has given up: an [eventlistener] for "
        f"events={FATAL}.",
    )
    parser.add_argument("group", nargs="*", help="look after these groups alone (default: all)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run as supervisor's event listener; the exit status is 1 when it is not one."""
    options = parse(argv)
    try:
        listener = Listener(os.environ.get("SUPERVISOR_SERVER_URL", ""), options.group)
    except ValueError as error:
        say(f"not started by supervisor with a unix_http_server? SUPERVISOR_SERVER_URL: {error}")
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    listener.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
