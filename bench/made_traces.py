"""Makes the traces of `bench/traces`: `python -m bench.made_traces` writes them anew.

Their counts are played as they are. An image takes half a second, so 120 a minute keep one worker
busy.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random

FOLDER = Path(__file__).with_name("traces")
_A_WORKER = 120  # images a minute
_DAY = 24 * 60  # minutes
_FLASHES_A_DAY = 6


def sparse() -> list[int]:
    """An image each 20 minutes, for two days."""
    return [int(minute % 20 == 10) for minute in range(2 * _DAY)]


def nightly() -> list[int]:
    """5,000 images at two in the morning, for three nights."""
    return [5000 * (minute % _DAY == 120) for minute in range(3 * _DAY)]


def on_off() -> list[int]:
    """Work for ten workers for 240 s, and none for as long; for a day."""
    return ([10 * _A_WORKER] * 4 + [0] * 4) * (_DAY // 8)


def flash() -> list[int]:
    """Work for one worker, and in six flashes a day of 4 to 20 minutes for fifteen; two days."""
    random = Random(5)
    counts = [_A_WORKER] * (2 * _DAY)
    for day in range(2):
        for _ in range(_FLASHES_A_DAY):
            start, length = day * _DAY + random.randrange(_DAY - 40), random.randint(4, 20)
            counts[start : start + length] = [15 * _A_WORKER] * length
    return counts


def rows(counts: Sequence[int]) -> str:
    lines = [f"{minute},{count}" for minute, count in enumerate(counts)]
    return "\n".join(["minute,count", *lines, ""])


MADE = {"flash": flash, "nightly": nightly, "on-off": on_off, "sparse": sparse}


if __name__ == "__main__":
    for name, make in MADE.items():
        (FOLDER / f"{name}.csv").write_text(rows(make()))
