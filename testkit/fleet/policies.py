"""Policies for tests: the defaults of the section `scaler`, with what a test wants otherwise."""

from typing import Any

from visionfleet.config.scaler import FleetTimes, ScalerSection
from visionfleet.scaler.decision import Policy


def policy(maximum: int, boot_seconds: float, **settings: Any) -> Policy:
    """Make a policy; `boot_seconds` are reckoned with until a worker has told."""
    section = ScalerSection(maximum=maximum, **settings)
    return Policy(section, FleetTimes(30.0, boot_seconds, 300.0), maximum, 120.0)
