"""The clairvoyant: knows every arrival, and starts workers so early that they are up in time.

Between "nothing before it came" and "nothing later than the allowed wait" runs one tightest string:
it does the same work with the fewest changes of the fleet (taut string; Davies and Kovac, Annals of
Statistics 29, 2001). Its slope is the service rate wanted at each moment.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from visionfleet.scaler.decision import Decision, Observation
from visionfleet.simulation.conditions import Conditions

_STEP_SECONDS = 5


def rates(arrivals: Sequence[int], wait_seconds: int, step: int) -> list[float]:
    """Images to start per second, for each step of `step` seconds, none waiting longer."""
    upper, lower = _bounds(arrivals, wait_seconds, step)
    knots = _taut_string(lower, upper)
    slopes = []
    for (x0, y0), (x1, y1) in pairwise(knots):
        slopes += [(y1 - y0) / (x1 - x0) / step] * (x1 - x0)
    return slopes


def _bounds(arrivals: Sequence[int], wait: int, step: int) -> tuple[list[float], list[float]]:
    """Cumulative images: at most those that came, at least those that came `wait` ago."""
    came = [0]
    for count in arrivals:
        came.append(came[-1] + count)
    total, end = came[-1], len(arrivals) + wait
    ends = range(0, end + step, step)
    upper = [float(came[min(second, len(arrivals))]) for second in ends]
    lower = [float(came[max(0, min(second - wait, len(arrivals)))]) for second in ends]
    upper[-1] = lower[-1] = float(total)
    return upper, lower


def _taut_string(lower: Sequence[float], upper: Sequence[float]) -> list[tuple[int, float]]:
    """The shortest path from the first to the last point between two bounds: its knots."""
    knots = [(0, lower[0])]
    last = len(lower) - 1
    x0, y0 = knots[0]
    while x0 < last:
        low, high, low_at, high_at = -math.inf, math.inf, x0, x0
        x = x0 + 1
        while x <= last:
            span = x - x0
            ceiling, floor = (upper[x] - y0) / span, (lower[x] - y0) / span
            if floor > high:  # the floor rises above the steepest way: bend at the ceiling
                x0, y0 = high_at, upper[high_at]
                break
            if ceiling < low:
                x0, y0 = low_at, lower[low_at]
                break
            if ceiling <= high:
                high, high_at = ceiling, x
            if floor >= low:
                low, low_at = floor, x
            x += 1
        else:
            x0, y0 = last, lower[last]
        knots.append((x0, y0))
    return knots


def sizes(
    rates: Sequence[float], service_seconds: float, step: int, hold_seconds: float, maximum: int
) -> list[int]:
    """Workers wanted in each step; a gap shorter than a boot is not worth a new start."""
    wanted = [min(maximum, math.ceil(rate * service_seconds - 1e-6)) for rate in rates]
    held = [0] * len(wanted)
    reach = int(hold_seconds // step)
    for level in range(1, max(wanted, default=0) + 1):
        last = -reach - 1
        for index, size in enumerate(wanted):
            if size >= level:
                start = last + 1 if index - last <= reach + 1 else index
                for between in range(max(0, start), index + 1):
                    held[between] = level
                last = index
    return held


@dataclass(slots=True)
class Clairvoyant:
    """Follows a plan of sizes, a boot time ahead; ends idle workers first."""

    plan: Sequence[int]
    step: int
    boot_seconds: float
    interval_seconds: int = 5

    def __call__(self, seen: Observation, now: float) -> Decision:
        ahead = self._planned(now + self.boot_seconds)
        size = len(seen.workers)
        if ahead > size:
            return Decision(launch=ahead - size)
        keep = max(self._planned(now), ahead)
        idle = [w.name for w in seen.workers if w.state == "idle"]
        booting = sum(w.state == "booting" for w in seen.workers)
        surplus = max(0, min(size - booting - keep, len(idle))) if size > keep else 0
        return Decision(terminate=tuple(idle[len(idle) - surplus :]))

    def _planned(self, at: float) -> int:
        index = int(at // self.step)
        return self.plan[index] if index < len(self.plan) else 0


def clairvoyant(
    arrivals: Sequence[int], wait_seconds: int, conditions: Conditions, maximum: int
) -> Clairvoyant:
    """Make one for these arrivals, of which none shall wait longer."""
    boot, service = conditions.boot_seconds, conditions.service_seconds
    wanted = rates(arrivals, wait_seconds, _STEP_SECONDS)
    plan = sizes(wanted, service, _STEP_SECONDS, boot, maximum)
    return Clairvoyant(plan, _STEP_SECONDS, boot)
