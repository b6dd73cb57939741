"""The wire contract: names of queues and keys of objects. No I/O here.

Images and uploads are in the input bucket, all else in the output bucket.
"""


def requests_queue(name: str) -> str:
    return f"{name}-requests"


def dead_queue(name: str) -> str:
    return f"{name}-requests-dead"


def replies_prefix(name: str) -> str:
    return f"{name}-replies-"


def replies_queue(name: str, host: str, process: str) -> str:
    """The reply queue of one web process; SQS allows 80 characters of [A-Za-z0-9_-]."""
    tidy = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in host)
    room = 80 - len(replies_prefix(name)) - len(process) - 1
    return f"{replies_prefix(name)}{tidy[:room]}-{process}"


def worker_on(host: str, number: int) -> str:
    return f"{host}-{number}"


def image_key(job: str) -> str:
    return f"images/{job}"


def corrected_image_key(job: str) -> str:
    return f"corrections/{job}"


def correction_key(job: str) -> str:
    return f"{CORRECTIONS_PREFIX}{job}.json"


def result_key(job: str) -> str:
    return f"results/{job}.json"


def by_name_key(file_name: str) -> str:
    """Key of the bare label by file name without extension: a/b.jpg -> b."""
    return f"results/by-name/{file_stem(file_name)}"


def by_content_key(sha256: str, fingerprint: str) -> str:
    return f"results/by-content/{sha256}/{fingerprint}.json"


def idempotency_key(name: str) -> str:
    return f"idempotency/{name}.json"


def upload_key(upload: str) -> str:
    return f"uploads/{upload}"


def file_stem(file_name: str) -> str:
    """Strip folders and extension of a file name: a/b.jpg -> b, but .. -> .."""
    base = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    stem = base.rpartition(".")[0]
    return stem if stem.strip(".") else base


def artefact_key(key: str) -> str:
    """Key of a model's artefact, made by the first worker that needs it."""
    return f"models/artefacts/{key}.artefact"


def worker_key(worker: str) -> str:
    return f"{WORKERS_PREFIX}{worker}.json"


def drain_key(worker: str) -> str:
    """Key whose existence asks a worker to drain."""
    return f"{DRAIN_PREFIX}{worker}"


def reporting_worker(key: str) -> str | None:
    """The worker whose report has this key; None for any other key."""
    name = key.removeprefix(WORKERS_PREFIX).removesuffix(".json")
    return name if name and "/" not in name and key == worker_key(name) else None


def draining_worker(key: str) -> str | None:
    """The worker whose drain request has this key; None for any other key."""
    name = key.removeprefix(DRAIN_PREFIX)
    return name if name and "/" not in name and key == drain_key(name) else None


CORRECTIONS_PREFIX = "corrections/"
FLEET_PREFIX = "fleet/"
WORKERS_PREFIX = "fleet/workers/"
DRAIN_PREFIX = "fleet/drain/"
MODEL_KEY = "fleet/model.json"
STATUS_KEY = "fleet/status.json"
LEASE_KEY = "fleet/lease.json"
LAUNCHES_KEY = "fleet/launches.json"

# Tags of reply queues: their kind, and the last heartbeat in whole Unix seconds.
REPLIES_TAGS = {"visionfleet": "replies"}
HEARTBEAT_TAG = "heartbeat"
HEARTBEAT_SECONDS = 300.0
