"""What decoding takes: peak memory and CPU of one large image of each kind, each in a process.

Run as `python -m bench.decode_cost`. The estimate is that of `imaging.cost`, by which images are
refused; the peak is the kernel's, above that of the process before the image.
"""

import argparse
import io
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from testkit.processes.memory import peak_mib
from visionfleet.errors import BadImage
from visionfleet.imaging import cost, decode
from visionfleet.imaging.model_input import Preprocessing
from visionfleet.imaging.preprocess import prepare

WIDE, TALL = 7000, 5000
HOW = Preprocessing(256, 224, (0, 0, 0), (1, 1, 1))


class NoLimits:
    max_bytes = 1 << 40
    max_pixels = 1 << 60
    formats = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "PNG", "TIFF", "WEBP")


def noise(bands: int, kind: Any = np.uint8, width: int = WIDE, height: int = TALL) -> Image.Image:
    tile = np.random.default_rng(0).integers(0, 255, (64, 64, bands), kind)
    grown = np.tile(tile, (height // 64 + 1, width // 64 + 1, 1))[:height, :width]
    return Image.fromarray(grown[:, :, 0] if bands == 1 else grown)


def saved(make: Callable[[], Image.Image], format_: str, **options: Any) -> Callable[[], bytes]:
    def write() -> bytes:
        buffer = io.BytesIO()
        make().save(buffer, format_, **options)
        return buffer.getvalue()

    return write


def heic() -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(noise(3, width=4000, height=3000)).save(buffer, quality=60)
    return buffer.getvalue()


KINDS: dict[str, Callable[[], bytes]] = {
    "PNG RGB": saved(lambda: noise(3), "PNG", compress_level=1),
    "PNG RGBA": saved(lambda: noise(4), "PNG", compress_level=1),
    "PNG 16 bit grey": saved(lambda: noise(1, np.uint16), "PNG", compress_level=1),
    "PNG palette": saved(lambda: noise(1).convert("P"), "PNG", compress_level=1),
    "PNG transparent colour": saved(
        lambda: noise(3), "PNG", compress_level=1, transparency=(1, 2, 3)
    ),
    "GIF": saved(lambda: noise(1).convert("P"), "GIF"),
    "BMP": saved(lambda: noise(3), "BMP"),
    "WebP": saved(lambda: noise(3), "WEBP", quality=50, method=0),
    "WebP lossless RGBA": saved(lambda: noise(4), "WEBP", lossless=True, method=0, quality=0),
    "TIFF RGB": saved(lambda: noise(3), "TIFF"),
    "TIFF in one strip": saved(
        lambda: noise(3), "TIFF", compression="tiff_adobe_deflate", strip_size=1 << 30
    ),
    "JPEG": saved(lambda: noise(3), "JPEG", quality=80),
    "JPEG progressive": saved(lambda: noise(3), "JPEG", quality=80, progressive=True),
    "JPEG 108 MP": saved(lambda: noise(3, width=12_000, height=9000), "JPEG", quality=80),
    "AVIF 24 MP": saved(lambda: noise(3, width=6000, height=4000), "AVIF", quality=60, speed=10),
    "HEIC 12 MP": heic,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", type=Path, help="measure this file, in this process")
    arguments = parser.parse_args()
    if arguments.one:
        print(measured(arguments.one.read_bytes()))
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, write in KINDS.items():
            path = Path(folder) / "image"
            path.write_bytes(write())
            command = [sys.executable, "-m", "bench.decode_cost", "--one", str(path)]
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            print(f"{name:24s} {told.strip()}", flush=True)


def measured(data: bytes) -> str:
    cost.MAX_DECODE_BYTES = 1 << 60  # what would be refused is measured too
    before, started = peak_mib(reset=True), time.process_time()
    prepare(decode.decode(data, NoLimits(), HOW.resize), HOW)
    seconds = time.process_time() - started
    peak = peak_mib() - before
    return f"peak {peak:4.0f} MiB, estimate {estimate_mib(data):4.0f} MiB, {seconds:5.2f} s CPU"


def estimate_mib(data: bytes) -> float:
    cost.MAX_DECODE_BYTES = -1  # so that it tells what it reckons with
    try:
        decode.decode(data, NoLimits(), HOW.resize)
    except BadImage as error:
        found = re.search(r"takes (\d+) bytes", str(error))
        return int(found[1]) / 2**20 if found else 0.0
    return 0.0


if __name__ == "__main__":
    main()
