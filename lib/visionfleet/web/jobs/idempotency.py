"""`Idempotency-Key`: the same key and the same bytes are the same job. No I/O here."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Once:
    """One upload that may come again: `name` is that of its record, `digest` what it holds."""

    name: str
    digest: str


def once(key: str, client: str, place: tuple[int, int], data: bytes, top: int) -> Once:
    """Describe an upload by its `place`: number and count; `client` keeps clients' keys apart."""
    number, count = place
    name = hashlib.sha256("\0".join((client, key, str(number))).encode()).hexdigest()
    digest = hashlib.sha256(f"{count}:{top}:".encode())
    digest.update(data)
    return Once(name, digest.hexdigest())
