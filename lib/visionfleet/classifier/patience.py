"""Holds a message while AWS has trouble: handed back, it would soon use up its deliveries."""

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

WAIT_SECONDS = 10.0  # the longest wait between two tries of a job


@dataclass(frozen=True, slots=True)
class Patience:
    """Ends with a `hurry`, in which what would have to wait is handed back."""

    completion: Completion
    hurry: threading.Event
    random: Random
    loops: Watchdog

    def hold(self, delivery: Delivery, step: Callable[[], None]) -> None:
        """Take a step until it succeeds. A refusal is waited out too: of all, it is an outage."""
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
            self.loops.rest(thread)  # to wait is well
            self.completion.in_flight.excuse(began, time.monotonic() + wait)
            if self.hurry.wait(wait):
                self.completion.hand_back([delivery])
                return
