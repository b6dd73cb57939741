"""How fast images will come, by the window whose forecast has lately erred least. No I/O here.

The rate of each window is held against what came until a worker launched then was up. The shortest
window tells first of a jump or a fall: the forecast never strays far from it.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from visionfleet.scaler.window import within

Points = tuple[tuple[float, float], ...]

# Windows in lengths of the shortest: 30 s to 15 minutes on EC2.
_WINDOWS: Final = (1.0, 2.0, 4.0, 10.0, 30.0)
_FORGET_SECONDS = 600.0
# In mean errors: what is added to the forecast, and how far below and above the shortest window's
# rate it may be. At most half of a rate is added.
_MARGIN, _BELOW, _ABOVE = 0.3, 1.0, 0.5
_MOST_ADDED = 0.5


@dataclass(frozen=True, slots=True)
class Forecast:
    """`arrived` are the images that had ever come, by when; `said` the rates of all windows at the
    looks since a boot ago; `errors` how far off each has been lately, in images a second.
    """

    arrived: Points = ()
    said: tuple[tuple[float, tuple[float, ...]], ...] = ()
    errors: tuple[float, ...] = (0.0,) * len(_WINDOWS)

    def noted(self, images: float, window: float, boot_seconds: float, now: float) -> "Forecast":
        """Take note of the images that had ever come by now; `window` is the shortest."""
        earlier = tuple(point for point in self.arrived if point[0] < now)
        arrived = within((*earlier, (now, images)), now - max(_WINDOWS[-1] * window, boot_seconds))
        rates = tuple(_rate(_since(arrived, now - share * window)) for share in _WINDOWS[1:])
        said = (*self.said, (now, (_steady_rate(_since(arrived, now - window)), *rates)))
        errors = self._errors(arrived, boot_seconds, now)
        return Forecast(arrived, within(said, now - boot_seconds), errors)

    @property
    def rate(self) -> float:
        """Images a second that are to be expected."""
        if not self.said:
            return 0.0
        rates, errors = self.said[-1][1], self.errors
        best = errors.index(min(errors))
        expected = rates[best] + min(_MARGIN * errors[best], _MOST_ADDED * rates[best])
        now, error = rates[0], errors[0]
        return max(0.0, now - _BELOW * error, min(expected, now + _ABOVE * error))

    @property
    def anything_lately(self) -> bool:
        return bool(self.said) and self.said[-1][1][0] > 0

    def _errors(self, arrived: Points, boot_seconds: float, now: float) -> tuple[float, ...]:
        """Hold what was said a boot ago against what has come since then."""
        if not self.said or self.said[0][0] > now - boot_seconds:
            return self.errors
        came = _rate(_since(arrived, now - boot_seconds))
        said = within(self.said, now - boot_seconds)[0][1]
        share = 1 - math.exp((self.said[-1][0] - now) / _FORGET_SECONDS)
        pairs = zip(self.errors, said, strict=True)
        return tuple(error + share * (abs(came - rate) - error) for error, rate in pairs)


def _since(points: Points, start: float) -> Points:
    """Keep the points since `start`, and the last one before it."""
    return points[max(0, bisect_right(points, (start, math.inf)) - 1) :]


def _rate(points: Points) -> float:
    if len(points) < 3:
        return 0.0
    (began, before), (ended, after) = points[0], points[-1]
    return max(0.0, (after - before) / (ended - began))


def _steady_rate(points: Points) -> float:
    """Leave out the steepest step: it may be a burst that is over, which the backlog shows anyway,
    or a wrong count.
    """
    if len(points) < 3:
        return 0.0
    steps = [(later - at, after - before) for (at, before), (later, after) in pairwise(points)]
    steepest = max(steps, key=lambda step: step[1] / step[0])
    seconds = points[-1][0] - points[0][0] - steepest[0]
    return max(0.0, (points[-1][1] - points[0][1] - steepest[1]) / seconds)
