"""Which pages of files the kernel holds: what a start has read of the disk, counted by mincore(2).

Before a start the files are put out of the page cache by posix_fadvise(2), one by one: no other
process loses more than a file that it shares. What another has mapped stays; it counts where the
started process has mapped it too, and what others read meanwhile counts: an upper bound.
"""

import ctypes
import mmap
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_PAGE = mmap.PAGESIZE
# Libraries are mapped, and sources are read by nobody who has the bytecode.
_NOT_READ = re.compile(r"\.(py|pyi|h|hpp|a|so[.0-9]*)$")
_LIBC = ctypes.CDLL(None, use_errno=True)


def files_below(folders: Iterable[Path]) -> list[Path]:
    """List what a daemon reads without mapping it: bytecode and data, once each."""
    found = {path.resolve() for folder in folders for path in folder.rglob("*") if path.is_file()}
    return sorted(path for path in found if not _NOT_READ.search(path.name))


def evict(files: Iterable[Path]) -> None:
    """Put files out of the page cache, as far as nobody has them mapped."""
    for path in files:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def held(files: Iterable[Path]) -> dict[Path, int]:
    """Count the bytes of each file that are in the page cache."""
    return {path: count for path in files if (count := _held(path))}


def read_bytes(before: Mapping[Path, int], after: Mapping[Path, int], mapped: set[Path]) -> int:
    """Sum what came in, and all that is there of what the process has mapped."""
    return sum(n - (0 if path in mapped else before.get(path, 0)) for path, n in after.items())


def mapped_by(pid: int) -> set[Path]:
    """Find the files that a process has mapped now, code and data."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    paths = {Path(line[line.index("/") :]) for line in lines if "/" in line}
    return {path for path in paths if path.is_file()}


def read_ahead_kib(place: Path) -> int:
    """How much the kernel reads of that folder's disk where one page is asked for."""
    device = place.stat().st_dev
    disk = Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
    return int(disk.read_text())


def _held(path: Path) -> int:
    size = path.stat().st_size
    if not size:
        return 0
    pages = -(-size // _PAGE)
    vector = (ctypes.c_ubyte * pages)()
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as view:
        start = ctypes.c_char.from_buffer(view)
        failed = _LIBC.mincore(ctypes.byref(start), ctypes.c_size_t(size), vector)
        del start  # a view that is pointed to cannot be closed
    if failed:
        raise OSError(ctypes.get_errno(), f"mincore {path}")
    return sum(value & 1 for value in bytes(vector)) * _PAGE
