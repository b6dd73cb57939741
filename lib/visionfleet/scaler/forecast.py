"""Forecasts the arrival rate by the moving window with the least recent error. No I/O here.

Each window's rate is compared with the arrivals during the following boot time. The forecast stays
near the shortest window's rate, which reacts first to a jump or a drop.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Final, TypeVar

_N = TypeVar("_N")
Points = tuple[tuple[float, float], ...]

# Window lengths, as multiples of the shortest: 30 s to 15 minutes on EC2.
_WINDOWS: Final = (1.0, 2.0, 4.0, 10.0, 30.0)
_FORGET_SECONDS = 600.0
# In mean errors: the safety margin, and the allowed distance below and above the shortest window's
# rate. The margin is at most half of the rate.
_MARGIN, _BELOW, _ABOVE = 0.3, 1.0, 0.5
_MAX_MARGIN_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Forecast:
    """Rates are in images per second.

    `arrived` are (time, images ever arrived); `predicted` are (time, rates of all windows) of the
    last boot time; `errors` is the mean absolute error of each window.
    """

    arrived: Points = ()
    predicted: tuple[tuple[float, tuple[float, ...]], ...] = ()
    errors: tuple[float, ...] = (0.0,) * len(_WINDOWS)

    def updated(self, images: float, window: float, boot_seconds: float, now: float) -> "Forecast":
        """Record the images ever arrived; `window` is the shortest, in seconds."""
        earlier = tuple(point for point in self.arrived if point[0] < now)
        arrived = _since((*earlier, (now, images)), now - max(_WINDOWS[-1] * window, boot_seconds))
        rates = tuple(_rate(_since(arrived, now - share * window)) for share in _WINDOWS[1:])
        predicted = (*self.predicted, (now, (_steady_rate(_since(arrived, now - window)), *rates)))
        errors = self._errors(arrived, boot_seconds, now)
        return Forecast(arrived, _since(predicted, now - boot_seconds), errors)

    @property
    def rate(self) -> float:
        if not self.predicted:
            return 0.0
        rates, errors = self.predicted[-1][1], self.errors
        best = errors.index(min(errors))
        expected = rates[best] + min(_MARGIN * errors[best], _MAX_MARGIN_SHARE * rates[best])
        now, error = rates[0], errors[0]
        return max(0.0, now - _BELOW * error, min(expected, now + _ABOVE * error))

    @property
    def anything_lately(self) -> bool:
        return bool(self.predicted) and self.predicted[-1][1][0] > 0

    def _errors(self, arrived: Points, boot_seconds: float, now: float) -> tuple[float, ...]:
        """Compare the rates predicted one boot time ago with the arrivals since."""
        if not self.predicted or self.predicted[0][0] > now - boot_seconds:
            return self.errors
        came = _rate(_since(arrived, now - boot_seconds))
        predicted = _since(self.predicted, now - boot_seconds)[0][1]
        share = 1 - math.exp((self.predicted[-1][0] - now) / _FORGET_SECONDS)
        pairs = zip(self.errors, predicted, strict=True)
        return tuple(error + share * (abs(came - rate) - error) for error, rate in pairs)


def _since(samples: tuple[tuple[float, _N], ...], start: float) -> tuple[tuple[float, _N], ...]:
    """The samples since `start`, and the last one before it, which covers the start."""
    return samples[max(0, bisect_right(samples, start, key=itemgetter(0)) - 1) :]


def _rate(points: Points) -> float:
    if len(points) < 3:
        return 0.0
    (began, before), (ended, after) = points[0], points[-1]
    return max(0.0, (after - before) / (ended - began))


def _steady_rate(points: Points) -> float:
    """The rate without the steepest step: a past burst is in the backlog, or was a miscount."""
    if len(points) < 3:
        return 0.0
    steps = [(later - at, after - before) for (at, before), (later, after) in pairwise(points)]
    steepest = max(steps, key=lambda step: step[1] / step[0])
    seconds = points[-1][0] - points[0][0] - steepest[0]
    return max(0.0, (points[-1][1] - points[0][1] - steepest[1]) / seconds)
