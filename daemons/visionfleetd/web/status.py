"""How a web process is: its line for `systemctl status`, and what its watchdog allows."""

import asyncio
import os
import time

from visionfleet.aws.clients import client_factory
from visionfleet.config import Config
from visionfleet.config.constraints import RECEIVE_MARGIN_SECONDS
from visionfleet.host.watchdog import Pace, Watchdog, web_status
from visionfleet.web.jobs.reply_queue import REPLIES_LOOP
from visionfleet.web.jobs.service import Service

EVENT_LOOP = "event loop"


class Board:
    """The line for `systemctl status`, written in the loop, which so shows that it turns."""

    def __init__(self, service: Service, loops: Watchdog) -> None:
        self._service, self._loops, self._pace = service, loops, Pace()
        self.status = ""

    def turn(self) -> None:
        """Write the line anew."""
        self._loops.step(EVENT_LOOP)
        service = self._service
        rate = self._pace.per_second(service.answered, time.monotonic())
        reasons, waiting = service.vitals.reasons(), len(service.under_way)
        self.status = web_status(reasons, waiting, service.answered, rate)

    async def turn_on(self, every_seconds: float) -> None:
        """Write it again and again, where somebody reads it."""
        while os.environ.get("NOTIFY_SOCKET"):
            await asyncio.sleep(every_seconds)
            self.turn()


def allowed_seconds(config: Config, watchdog_seconds: float) -> dict[str, float]:
    """Tell how long a step of each watched loop may take, by the settings.

    A look for replies is a receive, and as many as three other calls: to delete, to beat, to make
    the queue again.
    """
    door = client_factory(config.aws)
    receive = door.longest_call_seconds(config.queue.wait_seconds + RECEIVE_MARGIN_SECONDS)
    poll = receive + 3 * door.longest_call_seconds(config.aws.read_timeout_seconds)
    return {EVENT_LOOP: watchdog_seconds, REPLIES_LOOP: max(poll, watchdog_seconds)}
