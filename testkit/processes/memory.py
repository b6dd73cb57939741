"""The peak of this process's resident set, as the kernel counts it."""

import re
from pathlib import Path


def peak_mib(reset: bool = False) -> float:
    """Read it after a reset; proc(5): writing 5 to clear_refs resets it."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024
