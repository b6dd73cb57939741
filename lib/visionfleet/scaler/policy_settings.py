"""The numbers of a policy, from the section `scaler` of the configuration. No I/O here."""

from visionfleet.config.scaler import Scaler
from visionfleet.scaler.decision import Policy


def policy_of(settings: Scaler, cores: int) -> Policy:
    """Make the policy; `cores` is what a maximum of `cores` means on this machine."""
    maximum = cores if settings.maximum == "cores" else settings.maximum
    return Policy(
        minimum=min(settings.minimum, maximum),
        maximum=maximum,
        hold_seconds=settings.hold_seconds,
        target_wait_seconds=settings.target_wait_seconds,
        boot_seconds=settings.boot_seconds,
        service_seconds=settings.service_seconds,
        paid_seconds=settings.paid_seconds,
        boot_limit_seconds=settings.boot_limit_seconds,
        silent_seconds=settings.silent_seconds,
        pace_seconds=settings.pace_seconds,
        spare=settings.spare,
    )
