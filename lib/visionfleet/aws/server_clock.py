"""Wall time by AWS's clock, so that hosts with wrong or stepped clocks agree."""

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

# Date has whole seconds and some latency: smaller differences are ignored.
_JITTER_SECONDS = 2.0


class ServerClock:
    """Unix seconds by the `Date` of responses, extrapolated by the monotonic clock.

    Before the first response it is the host's time at creation.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._monotonic = monotonic
        self._ahead = wall() - monotonic()
        self._told = False
        self._last = ""

    def __call__(self) -> float:
        return self._monotonic() + self._ahead

    def heard(self, response_dict: Mapping[str, Any], **_: Any) -> None:
        """Record a response, as a botocore event; error responses may not come from AWS."""
        if response_dict["status_code"] < 300:
            self.note(response_dict["headers"].get("Date", ""))

    def note(self, date: str) -> None:
        if date == self._last:  # unchanged: skip the parsing
            return
        self._last = date
        try:
            # A proxy may have appended its own date.
            told = parsedate_to_datetime(date[:29]).timestamp() + 0.5
        except (TypeError, ValueError):
            return
        if not self._told or abs(told - self()) > _JITTER_SECONDS:
            self._ahead = told - self._monotonic()
            self._told = True
