"""When the images of an open-loop load arrive: whether earlier ones are answered or not.

No I/O here. A closed loop, where a client waits for its answer before it asks again, hides what
people feel: a service that stalls is asked less. Open loops go on, as people do.
"""

from collections.abc import Iterator
from random import Random


def evenly(rate: float, seconds: float) -> Iterator[float]:
    """Give the seconds after the start at which images arrive, one every 1 / `rate`."""
    for number in range(int(rate * seconds + 1e-9)):
        yield number / rate


def poisson(rate: float, seconds: float, random: Random) -> Iterator[float]:
    """The same for people who know nothing of each other: `rate` a second in the mean."""
    at = random.expovariate(rate)
    while at < seconds:
        yield at
        at += random.expovariate(rate)
