"""The number of cores that are granted."""

import os
from pathlib import Path

import pytest

from visionfleet.host import cpu_quota


@pytest.mark.parametrize(
    ("v2", "v1", "quota"),
    [
        ("max 100000", None, None),
        ("150000 100000", None, 1.5),
        (None, ("200000", "100000"), 2.0),
        (None, ("-1", "100000"), None),
        (None, None, None),
        ("nonsense", None, None),
    ],
)
def test_cpu_quota_is_read_from_cgroups(
    tmp_path: Path, v2: str | None, v1: tuple[str, str] | None, quota: float | None
) -> None:
    if v2:
        (tmp_path / "cpu.max").write_text(v2)
    if v1:
        (tmp_path / "cpu.cfs_quota_us").write_text(v1[0])
        (tmp_path / "cpu.cfs_period_us").write_text(v1[1])
    assert cpu_quota._quota(tmp_path / "cpu.max", tmp_path) == quota


def test_granted_cpus_are_between_one_and_the_affinity() -> None:
    assert 1 <= cpu_quota.granted() <= len(os.sched_getaffinity(0))
