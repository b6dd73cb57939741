"""Arrival times of an open-loop load, independent of responses. No I/O here.

A closed loop, where each client waits for its response, hides what users experience: a stalled
service simply gets fewer requests.
"""

from collections.abc import Iterator
from random import Random


def evenly(rate: float, seconds: float) -> Iterator[float]:
    for number in range(int(rate * seconds + 1e-9)):
        yield number / rate


def poisson(rate: float, seconds: float, random: Random) -> Iterator[float]:
    """Arrival times in seconds of a Poisson process with mean `rate`."""
    at = random.expovariate(rate)
    while at < seconds:
        yield at
        at += random.expovariate(rate)
