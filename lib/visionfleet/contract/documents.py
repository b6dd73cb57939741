"""S3 objects that hold one value each: their keys and decoding. No I/O here.

Empty, truncated or invalid content, and other versions, count as missing.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from visionfleet.contract import names
from visionfleet.contract.messages import (
    CachedResult,
    Claim,
    Failed,
    FleetStatus,
    LaunchLedger,
    Lease,
    Succeeded,
    WorkerReport,
    decode_result,
)
from visionfleet.contract.model_description import ModelDescription
from visionfleet.errors import BadMessage

# A scaler writes its status at least once a minute; after three missed writes it counts as silent.
SCALER_SILENT_SECONDS = 180.0

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Document(Generic[T_co]):
    """The object under `key`; `decode` raises BadMessage for invalid bytes."""

    key: str
    decode: Callable[[bytes], T_co]


STATUS = Document(names.STATUS_KEY, FleetStatus.decode)
MODEL = Document(names.MODEL_KEY, ModelDescription.decode)
LEADER_LEASE = Document(names.LEASE_KEY, Lease.decode)
LAUNCH_LEDGER = Document(names.LAUNCHES_KEY, LaunchLedger.decode)


def fault_of_bucket(own: str, seen: str) -> str | None:
    """Why a deployment finds what another (empty: an older release) wrote about its fleet."""
    if seen in {"", own}:
        return None
    return f"the output bucket is that of the deployment {seen}: {own} needs one of its own"


def result(job: str) -> Document[Succeeded | Failed]:
    return Document(names.result_key(job), decode_result)


def cached_result(sha256: str, fingerprint: str) -> Document[CachedResult]:
    return Document(names.by_content_key(sha256, fingerprint), CachedResult.decode)


def claim(name: str) -> Document[Claim]:
    """The job of an upload with an idempotency key."""
    return Document(names.idempotency_key(name), Claim.decode)


def worker_report(worker: str) -> Document[WorkerReport]:
    return Document(names.worker_key(worker), WorkerReport.decode)


def worker_reports(
    keys: Iterable[str], read: Callable[[Document[WorkerReport]], WorkerReport | None]
) -> list[WorkerReport]:
    found = (read(worker_report(name)) for key in keys if (name := names.reporting_worker(key)))
    return [report for report in found if report is not None]


def drain_request(worker: str) -> Document[float]:
    """When a worker was asked to drain, in Unix seconds."""
    return Document(names.drain_key(worker), _unix_seconds)


def _unix_seconds(raw: bytes) -> float:
    try:
        seconds = float(raw)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        text = raw.decode(errors="replace")
        raise BadMessage(f"expected Unix seconds, got {text[:100]!r}", text)
    return seconds
