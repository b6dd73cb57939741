"""Batches SQS sends: messages that arrive during a call share the next one, as calls are billed."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from visionfleet.aws.outbox import BATCH, SendAll, send_apart


@dataclass(slots=True, eq=False)
class _Outgoing:
    body: str
    done: bool = False
    error: Exception | None = None


class BatchSender:
    """Adds no delay: a message that arrives when no call is running is sent at once."""

    def __init__(self, send_all: SendAll) -> None:
        self._send_all = send_all
        self._waiting: deque[_Outgoing] = deque()
        self._turn = threading.Lock()

    def send(self, body: str) -> None:
        """Send a message; returns when SQS has accepted it. Raises TryLater or GiveUp."""
        message = _Outgoing(body)
        self._waiting.append(message)
        with self._turn:
            while not message.done:
                self._send_some()
        if message.error is not None:
            raise message.error

    def _send_some(self) -> None:
        some = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        errors: Mapping[str, Exception]
        try:
            errors = send_apart(self._send_all, [one.body for one in some])
        except Exception as error:
            # Those waiting would get the same error, one slow failure later.
            some += [self._waiting.popleft() for _ in range(len(self._waiting))]
            errors = dict.fromkeys([one.body for one in some], error)
        for one in some:
            one.error, one.done = errors.get(one.body), True
