"""Cross-field rules of settings; skipped if one of their keys is faulty. No I/O here."""

from collections.abc import Callable
from dataclasses import dataclass

from visionfleet.config.schema import Config

# The margin of a long poll's read timeout over its wait time.
RECEIVE_MARGIN_SECONDS = 5
# A model reported within this time counts as the fleet's: tolerates lost reports, without serving
# cached results of a model that is gone.
MODEL_TRUST_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Constraint:
    """`broken` tells whether a configuration violates it; reported at `keys[0]`."""

    keys: tuple[str, ...]
    broken: Callable[[Config], bool]
    sentence: str


def _has_form(location: str | None) -> bool:
    """Whether an S3 URL has a bucket and a key; any path is fine."""
    if location is None or not location.startswith("s3://"):
        return True
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return bool(bucket and key)


CONSTRAINTS = (
    # A message whose receive response was lost must not reappear while the call may still be
    # pending.
    Constraint(
        ("queue.visibility_timeout_seconds", "queue.wait_seconds"),
        lambda c: (
            c.queue.visibility_timeout_seconds <= c.queue.wait_seconds + RECEIVE_MARGIN_SECONDS
        ),
        f"must be more than queue.wait_seconds + {RECEIVE_MARGIN_SECONDS}, the read timeout of "
        "a receive",
    ),
    Constraint(
        ("classifier.max_processing_seconds", "queue.visibility_timeout_seconds"),
        lambda c: c.classifier.max_processing_seconds < c.queue.visibility_timeout_seconds,
        "must not be less than queue.visibility_timeout_seconds",
    ),
    Constraint(
        ("classifier.prefetch", "classifier.batch_size"),
        lambda c: c.classifier.prefetch < c.classifier.batch_size,
        "must not be less than classifier.batch_size",
    ),
    Constraint(
        ("classifier.cpus_per_worker", "classifier.ec2_instance"),
        lambda c: c.classifier.ec2_instance and c.classifier.cpus_per_worker is not None,
        "must be null with classifier.ec2_instance: an instance is one worker",
    ),
    Constraint(
        ("web.tls_certificate", "web.tls_key"),
        lambda c: (c.web.tls_certificate is None) != (c.web.tls_key is None),
        "must be set together with web.tls_key, or neither of them",
    ),
    Constraint(
        ("classifier.report_seconds", "web.cache"),
        lambda c: c.web.cache and 2 * c.classifier.report_seconds > MODEL_TRUST_SECONDS,
        f"must be at most {MODEL_TRUST_SECONDS / 2:.0f} with web.cache: a model counts as the "
        f"fleet's for {MODEL_TRUST_SECONDS:.0f} s after a report",
    ),
    Constraint(
        ("scaler.minimum", "scaler.maximum"),
        lambda c: c.scaler.maximum != "cores" and c.scaler.minimum > c.scaler.maximum,
        "must not be more than scaler.maximum",
    ),
    Constraint(
        ("ec2.launch_template", "scaler.fleet"),
        lambda c: c.scaler.fleet == "ec2" and c.ec2.launch_template is None,
        "is required with scaler.fleet: ec2",
    ),
    Constraint(
        ("scaler.maximum", "scaler.fleet"),
        lambda c: c.scaler.fleet == "ec2" and c.scaler.maximum == "cores",
        "must be a number with scaler.fleet: ec2, whose workers are not on this machine",
    ),
    # Renewed when a third is left: a tick must fall between that and the margin.
    Constraint(
        ("scaler.lease_seconds", "scaler.interval_seconds"),
        lambda c: (
            c.scaler.lease_seconds < 3 * (c.scaler.lease_margin_seconds + c.scaler.interval_seconds)
        ),
        "must be at least 4 * scaler.interval_seconds, and at least 3 * scaler.interval_seconds "
        "+ 1.5",
    ),
    Constraint(
        ("model.crop", "model.resize"),
        lambda c: c.model.crop > c.model.resize,
        "must not be more than model.resize",
    ),
    Constraint(
        ("model.sha256", "model.path"),
        lambda c: c.model.path is not None and c.model.sha256 is None,
        "is required with model.path: sha256sum FILE prints it",
    ),
    Constraint(
        ("model.path", "model.labels"),
        lambda c: not (_has_form(c.model.path) and _has_form(c.model.labels)),
        "must be a path or s3://BUCKET/KEY, and so must model.labels",
    ),
    Constraint(
        ("model.architecture", "model.path"),
        lambda c: c.model.path is None and c.model.architecture is not None,
        "is for the state dict in model.path; without one, put the architecture in model.name",
    ),
)
