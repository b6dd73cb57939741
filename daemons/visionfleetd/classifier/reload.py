"""What a reload changes in a classifier at work, and what needs a restart."""

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
    return decode.Limits(settings.max_bytes, settings.max_pixels, settings.formats)
