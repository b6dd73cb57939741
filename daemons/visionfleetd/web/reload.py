"""The settings that a web process reads, and those that a reload applies."""

import logging
import ssl
from functools import partial
from pathlib import Path

from visionfleet.config.reload import Reach
from visionfleet.web.routes.context import Context
from visionfleetd import startup
from visionfleetd.web.security import renew

log = logging.getLogger("web")

REACH = Reach(
    live=frozenset(
        {"images.max_bytes", "images.max_pixels", "images.formats", "log.level", "model.name"}
        | {"results.by_name", "scaler.service_seconds"}
        | {
            f"web.{name}"
            for name in (
                *("key_per_second", "trusted_proxies", "plain_reply", "max_wait_seconds"),
                *("max_waiting", "max_queue_seconds", "max_held_bytes", "expire_seconds"),
                *("plain_unsure", "unready_seconds", "stop_seconds", "cors_origins", "cache"),
                "hosts",
            )
        }
    ),
    concerns=frozenset(
        {"name", "aws", "storage", "images", "web", "metrics", "queue.wait_seconds"}
    ),
)


def reload(context: Context, tls: ssl.SSLContext | None, path: Path | None) -> None:
    """Reload configuration, certificate and key; open requests keep the old ones."""
    with startup.reloading():
        again = partial(renew, tls, context.config.web)
        context.adopt(startup.reloaded(path, context.config, REACH, log, again))
