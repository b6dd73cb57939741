"""The resident set of a process, as the kernel counts it."""

import re
from pathlib import Path


def resident_mib(pid: int | str, peak: bool = False) -> float:
    name, status = "VmHWM" if peak else "VmRSS", Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"{name}:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) / 1024


def peak_mib(reset: bool = False) -> float:
    """Read this process's peak after a reset; proc(5): writing 5 to clear_refs resets it."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return resident_mib("self", peak=True)
