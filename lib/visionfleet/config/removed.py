"""Removed settings, and their replacements. No I/O here."""

from collections.abc import Mapping

_EC2_INSTANCE = "use classifier.ec2_instance, which is this and the other two of its kind"
_METRICS_ADDRESS = "renamed to metrics.address, which is for all daemons"
_FLEET = "it follows from scaler.fleet now: {} for supervisor, {} for ec2"

# A key, or `key: value` where only the value was removed.
REMOVED: Mapping[str, str] = {
    "aws.connect_timeout_seconds": "removed: it is 3 s now",
    "aws.max_attempts": "removed: set AWS's own variable AWS_MAX_ATTEMPTS in the environment",
    "queue.dead_retention_seconds": "removed: it is 14 days now, the longest that SQS has",
    "web.plain_wait_seconds": "removed: a plain POST / waits web.max_wait_seconds now",
    "web.wait_seconds": "removed: it is 30 s now, or web.max_wait_seconds if that is less",
    "web.max_files": "removed: it is 32 now",
    "web.header_seconds": "removed: it is 15 s now",
    "web.body_bytes_per_second": "removed: it is 1024 now",
    "web.cache_trust_seconds": "removed: it is 120 s now",
    "web.upload_expire_seconds": "removed: it is 900 s now",
    "web.threads": "removed: it is 32 now",
    "web.metrics_address": _METRICS_ADDRESS,
    "model.agreement_floor": "removed: it is 0.99 now",
    "model.cache_directory": "removed: set CACHE_DIRECTORY in the environment, as systemd does",
    "model.mirror_below": "removed: no image is looked at twice any more",
    "model.device": "removed: a GPU is used if there is one; CUDA_VISIBLE_DEVICES= in the "
    "environment hides it",
    "classifier.fetch_threads": "removed: it is 8 now",
    "classifier.drain_check_seconds": "removed: it is a fifth of classifier.report_seconds now, "
    "at most 5 s",
    "classifier.isolated_seconds": "removed: it is 60 s now",
    "classifier.interruption_notices": _EC2_INSTANCE,
    "classifier.named_by_instance": _EC2_INSTANCE,
    "classifier.self_shutdown": _EC2_INSTANCE,
    "classifier.shutdown_command": "removed: the worker makes the file poweroff in "
    "/run/visionfleet, or in RUNTIME_DIRECTORY of the environment",
    "classifier.metrics_address": _METRICS_ADDRESS,
    "scaler.policy: ours": "`pace` is its name now",
    "scaler.pace_seconds": f"removed: {_FLEET.format('10 s', '30 s')}",
    "scaler.boot_seconds": f"removed: {_FLEET.format('5 s', '60 s')}",
    "scaler.boot_limit_seconds": f"removed: {_FLEET.format('120 s', '300 s')}",
    "scaler.silent_seconds": "removed: it is four times classifier.report_seconds now, at least "
    "30 s",
    "scaler.lease_margin_seconds": "removed: it is a twelfth of scaler.lease_seconds now, at "
    "least 0.5 s",
    "scaler.publish_metrics": "removed: it is done with scaler.fleet: ec2",
    "scaler.metrics_address": _METRICS_ADDRESS,
    "ec2.spot": "ec2.markets takes its place: [spot, on-demand] for true, which launches on demand "
    "what spot refuses; [spot] for spot alone; [on-demand] for false",
    "supervisor.group": "removed: the group is called classifier",
}
