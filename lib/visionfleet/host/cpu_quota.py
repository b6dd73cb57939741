"""The cores granted to this process: by affinity and cgroup quota."""

import os
from collections.abc import MutableMapping
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def granted() -> int:
    """The number of usable cores, at least 1; a quota of 1.5 counts as 1."""
    allowed = len(os.sched_getaffinity(0))
    quota = _quota(_CGROUP_V2, _CGROUP_V1)
    return max(1, min(allowed, int(quota))) if quota else allowed


def yield_while_waiting(environment: MutableMapping[str, str]) -> None:
    """To be called before torch's import: OpenMP threads then sleep instead of spinning."""
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _quota(v2: Path, v1: Path) -> float | None:
    try:
        limit, period = v2.read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        limit = (v1 / "cpu.cfs_quota_us").read_text()
        period = (v1 / "cpu.cfs_period_us").read_text()
        return int(limit) / int(period) if int(limit) > 0 else None
    except (OSError, ValueError):
        return None
