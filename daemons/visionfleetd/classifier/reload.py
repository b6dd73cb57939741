"""What a reload changes in a classifier at work; the rest needs a restart."""

from visionfleet.config.reload import Reach

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
