"""What a reload changes in a classifier at work, and what needs a restart."""

from dataclasses import dataclass

from visionfleet.classifier.drain_triggers import Orphan
from visionfleet.classifier.intake import Intake
from visionfleet.classifier.worker_report import Reporter
from visionfleet.config import Config
from visionfleet.config.reload import Reach
from visionfleet.config.schema import ImagesSection
from visionfleet.imaging import decode

REACH = Reach(
    live=frozenset(
        {"images.max_bytes", "images.max_pixels", "images.formats", "log.level"}
        | {"classifier.report_seconds", "classifier.stop_seconds"}
        | {"classifier.idle_shutdown_seconds"}
    ),
    concerns=frozenset(
        {"name", "aws", "storage", "queue", "images", "model", "classifier", "results", "metrics"}
    ),
)


def image_limits(settings: ImagesSection) -> decode.Limits:
    """Take the limits out of the settings."""
    return decode.Limits(settings.max_bytes, settings.max_pixels, settings.formats)


@dataclass(frozen=True, slots=True)
class Tuned:
    """The parts of a worker that follow the settings; each takes a new value between two steps."""

    intake: Intake
    reporter: Reporter
    orphan: Orphan

    def adopt(self, config: Config) -> None:
        """Go by these settings from now on."""
        self.intake.limits = image_limits(config.images)
        self.reporter.report_seconds = config.classifier.report_seconds
        self.orphan.limit_seconds = config.classifier.idle_shutdown_seconds
