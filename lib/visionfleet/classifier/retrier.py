"""Retries a step during AWS outages: returning the message would use up its deliveries."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from visionfleet.backoff import growing_waits
from visionfleet.classifier.completion import Completion
from visionfleet.classifier.in_flight import Delivery
from visionfleet.classifier.isolation import ChildFailed
from visionfleet.errors import GiveUp, TryLater
from visionfleet.host.daemon_threads import Crashed, run_in_thread
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
    crashed: Crashed

    def run(self, delivery: Delivery, step: Callable[[], None]) -> None:
        """Try a step; if it fails, retry it on a thread of its own, so that an object which S3 does
        not give out never holds a thread that others need.
        """
        waits = growing_waits(self.random, cap=WAIT_SECONDS)
        first = self._try(delivery, step, waits)
        if first is None or self._handed_back(delivery, 0.0):
            return
        in_flight = self.completion.in_flight
        in_flight.set_waiting(delivery, True)

        def retry() -> None:
            wait: float | None = first
            while wait is not None and not self._handed_back(delivery, wait):
                wait = self._try(delivery, step, waits)
            in_flight.set_waiting(delivery, False)

        run_in_thread("retry", retry, self.crashed)

    def _handed_back(self, delivery: Delivery, wait: float) -> bool:
        if handing_back := self.handing_back.wait(wait):
            self.completion.hand_back([delivery])
        return handing_back

    def _try(
        self, delivery: Delivery, step: Callable[[], None], waits: Iterator[float]
    ) -> float | None:
        """None if the step succeeded, else the seconds to wait. Refusals are retried too: if all
        are refused, it is an outage.
        """
        thread, began = threading.current_thread().name, time.monotonic()
        self.loops.step(thread)
        delivery.step_since = began
        try:
            step()
            return None
        except (TryLater, GiveUp) as error:
            wait = next(waits)
            self.completion.metrics.retries.inc()
            fields = delivery.about() | {"in_seconds": wait, "reason": str(error)}
            level = logging.ERROR if isinstance(error, GiveUp) else logging.WARNING
            if isinstance(error, ChildFailed):  # other machines may do better
                log.warning("waiting for a child process", extra=fields)
            else:
                log.log(level, "waiting for S3", extra=fields)
                self.completion.in_flight.discount_outage(began, time.monotonic() + wait)
        finally:
            delivery.step_since = None
        self.loops.rest(thread)  # waiting is healthy
        return wait
