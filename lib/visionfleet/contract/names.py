"""The wire contract: names of queues, keys of objects. No I/O here.

Images and uploads lie in the input bucket, all else in the output bucket.
"""


def requests_queue(name: str) -> str:
    return f"{name}-requests"


def dead_queue(name: str) -> str:
    return f"{name}-requests-dead"


def replies_prefix(name: str) -> str:
    return f"{name}-replies-"


def replies_queue(name: str, host: str, process: str) -> str:
    """Name the reply queue of one web process; SQS allows 80 of [A-Za-z0-9_-]."""
    tidy = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in host)
    room = 80 - len(replies_prefix(name)) - len(process) - 1
    return f"{replies_prefix(name)}{tidy[:room]}-{process}"


def worker_on(host: str, number: int) -> str:
    """Name a worker that was given no name."""
    return f"{host}-{number}"


def image_key(job: str) -> str:
    return f"images/{job}"


def corrected_image_key(job: str) -> str:
    """Key in the input bucket of an image that somebody has corrected the label of."""
    return f"corrections/{job}"


def correction_key(job: str) -> str:
    """Key in the output bucket of what somebody says that an image shows."""
    return f"{CORRECTIONS_PREFIX}{job}.json"


def result_key(job: str) -> str:
    return f"results/{job}.json"


def by_name_key(file_name: str) -> str:
    """Key of the bare label under the file's name without its extension: a/b.jpg -> b."""
    return f"results/by-name/{file_stem(file_name)}"


def by_content_key(sha256: str, fingerprint: str) -> str:
    return f"results/by-content/{sha256}/{fingerprint}.json"


def idempotency_key(name: str) -> str:
    return f"idempotency/{name}.json"


def upload_key(upload: str) -> str:
    return f"uploads/{upload}"


def file_stem(file_name: str) -> str:
    """Cut the folders and the extension off a file's name: a/b.jpg -> b, but .. -> .."""
    base = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    stem = base.rpartition(".")[0]
    return stem if stem.strip(".") else base


def artefact_key(key: str) -> str:
    """Key of a model's artefact, which the first worker that needs it makes for the others."""
    return f"models/artefacts/{key}.artefact"


def worker_key(worker: str) -> str:
    return f"{WORKERS_PREFIX}{worker}.json"


def drain_key(worker: str) -> str:
    """Key whose presence asks a worker to take no more work."""
    return f"{DRAIN_PREFIX}{worker}"


def reporting_worker(key: str) -> str | None:
    """Tell whose report a key is; None for any other key."""
    name = key.removeprefix(WORKERS_PREFIX).removesuffix(".json")
    return name if name and "/" not in name and key == worker_key(name) else None


def draining_worker(key: str) -> str | None:
    """Tell who is asked to drain by an object of this key; None for any other key."""
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

# A reply queue is tagged as one, and with the whole Unix second of its last heartbeat.
REPLIES_TAGS = {"visionfleet": "replies"}
HEARTBEAT_TAG = "heartbeat"
HEARTBEAT_SECONDS = 300.0
