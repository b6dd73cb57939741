"""A web process's line for `systemctl status`, and its watchdog limits."""

import asyncio
import os
import time

from visionfleet.aws.clients import client_factory
from visionfleet.config import Config
from visionfleet.config.constraints import RECEIVE_MARGIN_SECONDS
from visionfleet.host.watchdog import Pace, Watchdog, web_status
from visionfleet.web.jobs.reply_queue import REPLIES_LOOP
from visionfleet.web.routes.context import Context

EVENT_LOOP = "event loop"


class StatusLine:
    """The line for `systemctl status`, written on the loop, which proves that it is running."""

    def __init__(self, context: Context, watchdog: Watchdog) -> None:
        self._context, self._watchdog, self._pace = context, watchdog, Pace()
        self.text = ""
        self._write()

    def _write(self) -> None:
        self._watchdog.step(EVENT_LOOP)
        answered, waiting = self._context.jobs_answered, len(self._context.requests.open)
        rate = self._pace.per_second(answered, time.monotonic())
        self.text = web_status(self._context.readiness.reasons(), waiting, answered, rate)

    async def write_on(self, every_seconds: float) -> None:
        while os.environ.get("NOTIFY_SOCKET"):
            await asyncio.sleep(every_seconds)
            self._write()


def allowed_seconds(config: Config, watchdog_seconds: float) -> dict[str, float]:
    """A poll is a receive and at most three calls: delete, heartbeat, create the queue."""
    clients = client_factory(config.aws)
    receive = clients.longest_call_seconds(config.queue.wait_seconds + RECEIVE_MARGIN_SECONDS)
    poll = receive + 3 * clients.longest_call_seconds(config.aws.read_timeout_seconds)
    return {EVENT_LOOP: watchdog_seconds, REPLIES_LOOP: max(poll, watchdog_seconds)}
