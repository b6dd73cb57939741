"""Wall time as AWS tells it: hosts whose clocks are wrong, or are set, agree on it all the same."""

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

# A Date is cut to whole seconds, and its answer takes a while: less is no difference.
_JITTER_SECONDS = 2.0


class ServerClock:
    """Unix seconds by the `Date` of the last answers, carried on by the monotonic clock. Until the
    first answer it is what this host took for the time when the clock was made.
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
        """Take note of an answer, as botocore tells it; a fault may not be of AWS."""
        if response_dict["status_code"] < 300:
            self.note(response_dict["headers"].get("Date", ""))

    def note(self, date: str) -> None:
        if date == self._last:  # the same second, and to read it takes CPU
            return
        self._last = date
        try:
            # A proxy may have added a date of its own behind.
            told = parsedate_to_datetime(date[:29]).timestamp() + 0.5
        except (TypeError, ValueError):
            return
        if not self._told or abs(told - self()) > _JITTER_SECONDS:
            self._ahead = told - self._monotonic()
            self._told = True
