"""Files broken along the lines of their own format, and a trial of many of them in one process.

`python -m testkit.images.fuzz --cases 100000 --seed 1` tries by hand; what breaks is written to
`--keep`. It prints one line of JSON: how many were seen or refused, the slowest, and the peak of
memory above that of the idle process.
"""

import argparse
import json
import logging
import struct
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

from testkit.images.containers import CONTAINERS, Record
from testkit.images.pictures import numbered
from testkit.images.reading import Limits, read_pixels
from testkit.images.ways import Way, ways
from testkit.processes.memory import peak_mib
from visionfleet.config import Config
from visionfleet.errors import BadImage
from visionfleet.imaging.decode import check_header
from visionfleet.imaging.model_input import Preprocessing

LIMITS = Limits(20_000_000, 250_000_000, Config().images.formats)
HOW = Preprocessing(64, 56, (0, 0, 0), (1, 1, 1))
_NUMBERS = (0, 1, 2, 3, 7, 8, 16, 32, 127, 128, 255, 256, 32767, 65535, 10**6, 2**31 - 1, 2**32 - 1)
# What decoders look at, beside what the seeds have.
_PNG_KINDS = b"IHDR PLTE tRNS iCCP eXIf acTL fcTL fdAT gAMA cHRM cICP sRGB zTXt iTXt IDAT IEND"
_BOXES = b"ispe pixi irot imir clap colr ipma iref iloc auxC pitm iinf"
_KINDS = {
    "PNG": tuple(_PNG_KINDS.split()),
    "JPEG": tuple(bytes([0xFF, code]) for code in (*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE)),
    "WEBP": (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "),
    "AVIF": tuple(_BOXES.split()),
    "HEIF": tuple(_BOXES.split()),
}
_TIFF_TAGS = (
    *(*range(254, 280), 284, 317, 320, *range(322, 326), 330, 338, 339, 347),
    *(*range(512, 515), *range(529, 533), 34665, 34675),
)


def seeds() -> dict[str, list[bytes]]:
    """Small files of all ways of writing, by the format whose records they have."""
    picture, found = numbered(7, 48), dict[str, list[bytes]]()
    for way in ways():
        format_ = _format_of(way)
        if format_ and "large" not in way.name:
            found.setdefault(format_, []).append(way.write(picture))
    return found


def _format_of(way: Way) -> str:
    first = way.name.split()[0]
    known = {"APNG": "PNG", "MPO": "JPEG", "WebP": "WEBP", "HEIC": "HEIF"}
    name = known.get(first, first)
    return name if name in CONTAINERS else ""


def broken(data: bytes, format_: str, random: Random) -> bytes:
    container = CONTAINERS[format_]
    records = container.split(data)
    for _ in range(random.choice((1, 1, 2, 3, 5))):
        _break_one(records, format_, random)
    whole = container.join(records)
    if random.random() < 0.15:
        return whole[: random.randrange(len(whole) + 1)]
    return whole


def _break_one(records: list[Record], format_: str, random: Random) -> None:
    at = random.randrange(len(records)) if records else 0
    choice = random.random()
    if choice < 0.6 and records:
        records[at] = (records[at][0], _changed(records[at][1], random))
    elif choice < 0.7 and records:
        del records[at]
    elif choice < 0.8 and records:
        records.insert(at, random.choice(records))
    elif format_ == "TIFF":
        records.append((b"entry", _entry(random)))
    elif format_ in _KINDS:
        body = random.randbytes(random.choice((0, 1, 4, 13, 40)))
        if records and random.random() < 0.5:
            body = random.choice(records)[1]
        records.insert(at, (random.choice(_KINDS[format_]), body))


def _entry(random: Random) -> bytes:
    count, value = (random.choice(_NUMBERS) for _ in range(2))
    return struct.pack("<HHLL", random.choice(_TIFF_TAGS), random.randrange(14), count, value)


def _changed(body: bytes, random: Random) -> bytes:
    """Overwrite a number of one, two or four bytes near the start, or anywhere."""
    if not body:
        return random.randbytes(4)
    reach = min(len(body), random.choice((12, 40, 400, len(body))))
    at, order = random.randrange(reach), random.choice("<>")
    size, code = random.choice(((1, "B"), (2, "H"), (4, "L")))
    number = random.choice((*_NUMBERS, random.randrange(2**32))) % 2 ** (8 * size)
    return body[:at] + struct.pack(order + code, number) + body[at + size :]


def cases(seed: int, start: int, count: int) -> Iterator[tuple[int, str, bytes]]:
    """Make the cases from `start` on; each depends on the seed and its own number alone."""
    found = seeds()
    names = sorted(found)
    for number in range(start, start + count):
        random = Random(f"{seed}:{number}")
        format_ = names[number % len(names)]
        yield number, format_, broken(random.choice(found[format_]), format_, random)


def tried(data: bytes) -> str:
    """Tell how a file ends: `seen`, or the code of its refusal."""
    try:
        check_header(data, LIMITS)
        read_pixels(data, LIMITS, HOW)
    except BadImage as error:
        return error.code
    return "seen"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder of the case that is being tried")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    print(json.dumps(trial(arguments.seed, arguments.start, arguments.cases, arguments.keep)))


def trial(seed: int, start: int, count: int, keep: Path | None = None) -> dict[str, object]:
    ends: Counter[str] = Counter()
    slowest, slowest_case, crashes = 0.0, "", []
    list(map(tried, (data for _, _, data in cases(seed, start, 8))))  # what is loaded only once
    idle = peak_mib(reset=True)
    for number, format_, data in cases(seed, start, count):
        if keep:
            (keep / "current").write_bytes(data)
        began = time.process_time()
        try:
            ends[tried(data)] += 1
        except Exception as error:
            crashes.append(f"{format_} {number}: {type(error).__name__}: {error}")
        spent = time.process_time() - began
        if spent > slowest:
            slowest, slowest_case = spent, f"{format_} {number}"
    return {
        "cases": count,
        "ends": dict(ends),
        "crashes": crashes,
        "slowest_seconds": round(slowest, 2),
        "slowest_case": slowest_case,
        "peak_mib": round(peak_mib() - idle),
    }


if __name__ == "__main__":
    main()
