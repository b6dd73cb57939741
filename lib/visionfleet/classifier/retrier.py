"""Retries a step during AWS outages: returning the message would use up its deliveries."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from visionfleet.backoff import growing_waits
from visionfleet.classifier.completion import Completion
from visionfleet.classifier.in_flight import Delivery
from visionfleet.classifier.isolation import ChildFailed
from visionfleet.errors import GiveUp, TryLater
from visionfleet.host.watchdog import Watchdog

log = logging.getLogger("classifier")

WAIT_SECONDS = 10.0  # the longest backoff between two tries


@dataclass(frozen=True, slots=True)
class Retrier:
    """Retries with backoff, until `handing_back` is set: then the message is handed back."""

    completion: Completion
    handing_back: threading.Event
    random: Random
    loops: Watchdog

    def run_until_done(self, delivery: Delivery, step: Callable[[], None]) -> None:
        """Retry a step until it succeeds, also after a refusal: if all are, it is an outage."""
        thread = threading.current_thread().name
        for wait in growing_waits(self.random, cap=WAIT_SECONDS):
            began = time.monotonic()
            self.loops.step(thread)
            try:
                step()
                return
            except (TryLater, GiveUp) as error:
                self.completion.metrics.retries.inc()
                fields = delivery.about() | {"in_seconds": wait, "reason": str(error)}
                level = logging.ERROR if isinstance(error, GiveUp) else logging.WARNING
                if isinstance(error, ChildFailed):
                    log.warning("waiting for a child process", extra=fields)
                else:
                    log.log(level, "waiting for S3", extra=fields)
            self.loops.rest(thread)  # waiting is healthy
            self.completion.in_flight.discount_outage(began, time.monotonic() + wait)
            if self.handing_back.wait(wait):
                self.completion.hand_back([delivery])
                return
