"""The numbers of a policy, from the configuration. No I/O here."""

from visionfleet.config import Config
from visionfleet.scaler.decision import Policy


def policy_of(config: Config, cores: int) -> Policy:
    """Make the policy; `cores` is what a maximum of `cores` means on this machine."""
    settings, times = config.scaler, config.scaler.times
    maximum = cores if settings.maximum == "cores" else settings.maximum
    return Policy(
        minimum=min(settings.minimum, maximum),
        maximum=maximum,
        hold_seconds=settings.hold_seconds,
        target_wait_seconds=settings.target_wait_seconds,
        boot_seconds=times.boot_seconds,
        service_seconds=settings.service_seconds,
        paid_seconds=settings.paid_seconds,
        boot_limit_seconds=times.boot_limit_seconds,
        silent_seconds=config.classifier.silent_seconds,
        pace_seconds=times.pace_seconds,
        spare=settings.spare,
    )
