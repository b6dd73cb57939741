"""What a web process takes from its settings, and which of them a reload changes at once."""

import time
from dataclasses import dataclass, replace

from visionfleet.aws.s3 import Store
from visionfleet.config import Config
from visionfleet.config.reload import Reach
from visionfleet.config.scaler import FLEET_TIMES
from visionfleet.imaging import decode
from visionfleet.web.http.server import Patience
from visionfleet.web.jobs.result_cache import Cache
from visionfleet.web.jobs.service import Service
from visionfleet.web.jobs.submission import Submissions
from visionfleet.web.load.admission import Room
from visionfleet.web.load.fleet_load import Priors
from visionfleet.web.settings import Rules

# What a multipart body has beside its file: boundaries, headers, other fields.
FORM_BYTES = 1 << 20
# A request with several files may be as large as this many of the largest.
ALL_FILES = 4
# A body up to this many times the largest image is read to its end before it is refused.
PATIENCE_FILES = 8
# Files in one request: an hour of photos is several requests, and one stays within its body.
MAX_FILES = 32
# A request that names no wait: proxies and clients commonly give up after 60 s.
WAIT_SECONDS = 30.0
# The first headers are a matter of one second, and a slow phone sends more than so much of a body:
# who is slower than that holds a connection for nothing.
PATIENCE = Patience(header_seconds=15.0, bytes_per_second=1024)
# To put a file into S3 after POST /v1/uploads: the largest file over a slow line.
UPLOAD_EXPIRE_SECONDS = 900

REACH = Reach(
    live=frozenset(
        {"images.max_bytes", "images.max_pixels", "images.formats", "log.level", "model.name"}
        | {"results.by_name", "scaler.service_seconds"}
        | {
            f"web.{name}"
            for name in (
                *("key_per_second", "trusted_proxies", "plain_reply", "max_wait_seconds"),
                *("max_waiting", "max_queue_seconds", "max_held_bytes", "expire_seconds"),
                *("unready_seconds", "stop_seconds", "cors_origins", "cache"),
            )
        }
    ),
    concerns=frozenset(
        {"name", "aws", "storage", "images", "web", "metrics", "queue.wait_seconds"}
    ),
)


def rules(config: Config) -> Rules:
    """Take out what handlers go by."""
    web, largest = config.web, config.images.max_bytes
    return Rules(
        one_bytes=largest + FORM_BYTES,
        all_bytes=ALL_FILES * largest + FORM_BYTES,
        patience_bytes=PATIENCE_FILES * largest,
        max_files=MAX_FILES,
        plain_reply=web.plain_reply,
        trusted_proxies=web.trusted_proxies,
        plain_wait_seconds=web.max_wait_seconds,
        wait_seconds=min(WAIT_SECONDS, web.max_wait_seconds),
        max_wait_seconds=web.max_wait_seconds,
        model=config.model.name,
        cors_origins=web.cors_origins,
    )


def limits(config: Config) -> decode.Limits:
    """Take out what an image may be."""
    return decode.Limits(config.images.max_bytes, config.images.max_pixels, config.images.formats)


def room(config: Config) -> Room:
    """Take out how many may wait, and how long."""
    return Room(config.web.max_waiting, config.web.max_queue_seconds)


def priors(config: Config) -> Priors:
    """Take out what to reckon with until the scaler has learned better; instances boot slower."""
    return Priors(config.scaler.service_seconds, FLEET_TIMES["ec2"].boot_seconds)


def cache(config: Config, results: Store) -> Cache | None:
    """Make the cache, if there shall be one."""
    return Cache(results, config.results.by_name, time.time) if config.web.cache else None


@dataclass(frozen=True, slots=True)
class Tuned:
    """The parts of a web process that follow the settings, from the loop's thread only.

    A request that is under way goes by the rules of its beginning.
    """

    service: Service

    def adopt(self, config: Config) -> None:
        """Go by these settings from now on."""
        web, service = config.web, self.service
        service.rules = rules(config)
        service.room, service.priors = room(config), priors(config)
        service.held.most = web.max_held_bytes
        service.desk = self._desk(config, service.desk)
        if service.access is not None:
            service.access.per_second = web.key_per_second

    def _desk(self, config: Config, before: Submissions) -> Submissions:
        return replace(
            before,
            limits=limits(config),
            expire_seconds=config.web.expire_seconds,
            cache=cache(config, before.results),
        )
