"""Publishes to CloudWatch that the fleet is at its maximum, and that a scaler is acting at all."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from visionfleet.errors import VisionfleetError
from visionfleet.logs.episode import Episode

log = logging.getLogger("scaler")

# CloudWatch's periods are a minute: one data point in each, with a tick to spare.
EVERY_SECONDS = 50.0


@dataclass(slots=True)
class AlarmPublisher:
    """Publishes periodically; errors are logged once per episode and never stop the scaler."""

    publish: Callable[[bool], None]
    _due_at: float = 0.0
    _outage: Episode = field(
        default_factory=lambda: Episode(log, "metric not published", "metrics are published again")
    )

    def publish_if_due(self, full: bool, now: float) -> None:
        if now < self._due_at:
            return
        self._due_at = now + EVERY_SECONDS
        try:
            self.publish(full)
        except VisionfleetError as error:
            self._outage.failed(error)
        else:
            self._outage.succeeded()
