"""Memory: does a classifier that has answered 20,000 mixed requests hold more than at first?

`make bench-memory`, or `python -m bench.bench_memory --images 2000`. One real worker with the
default model answers good images of seven sizes and about 2 % broken ones from the embedded AWS.
Its resident memory is read after every hundred images, its peak is the kernel's.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.figures import RESULTS, save, show
from testkit.classifier.endurance import Endurance, MemoryReading, endure

WARM = 1000  # by then every kind of image has been seen, and every pool is full


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, plot and save; exit status 1 when answers were wrong."""
    parser = argparse.ArgumentParser(prog="bench/bench_memory.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--images", type=int, default=20_000, help="default: %(default)s")
    images = parser.parse_args(argv).images
    with tempfile.TemporaryDirectory(prefix="vf-memory-") as name:
        run = endure(images, Path(name), say)
    report(run)
    return 1 if run.wrong else 0


def say(reading: MemoryReading) -> None:
    """Tell now and then how it goes."""
    if reading.images % 1000 < 100:
        print(f"{reading.images} images, {reading.resident:.0f} MiB", file=sys.stderr)


def report(run: Endurance) -> None:
    """Print, plot and save."""
    rss = {"rss_mib_at_1000": run.at(min(WARM, run.images)), "rss_mib_at_end": run.at(run.images)}
    figures = {**rss, "growth": rss["rss_mib_at_end"] / rss["rss_mib_at_1000"] - 1}
    figures |= {"peak_rss_mib": run.highest, "own_mib_at_end": run.readings[-1].own}
    counts = {name: getattr(run, name) for name in ("images", "broken", "looked_at", "wrong")}
    rows = [(name, f"{value:,.2f}") for name, value in figures.items()]
    show("memory of a classifier", ("what", "value"), rows)
    print(", ".join(f"{name}: {value}" for name, value in counts.items()))
    print(f"{run.images / run.seconds:.0f} images/s, {run.seconds:.0f} s")
    readings = [asdict(reading) for reading in thinned(run.readings)]
    whole = {**figures, **counts, "seconds": round(run.seconds, 1), "readings": readings}
    print(f"written: {save('memory', whole)}")
    plot(run.readings)


def thinned(readings: Sequence[MemoryReading], most: int = 100) -> list[MemoryReading]:
    """Keep about so many, and the last one."""
    return [*readings[:: max(1, len(readings) // most)], readings[-1]]


def plot(readings: Sequence[MemoryReading]) -> None:
    """Draw memory over images."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 3.5))
    images = [reading.images for reading in readings]
    axis.plot(images, [reading.peak for reading in readings], label="peak so far", color="0.7")
    axis.plot(images, [reading.resident for reading in readings], label="resident")
    axis.plot(images, [reading.own for reading in readings], label="of it, no file's pages")
    axis.set(xlabel="images answered", ylabel="MiB", ylim=(0, None))
    axis.set_title("Memory of one classifier, default model")
    axis.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(RESULTS / "memory.png", dpi=100)


if __name__ == "__main__":
    sys.exit(main())
