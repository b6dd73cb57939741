"""`Idempotency-Key`: the same key and the same bytes are the same job. No I/O here."""

import hashlib
import re
from dataclasses import dataclass

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Once:
    """One upload that may come again: `name` is that of its record, `digest` what it holds."""

    name: str
    digest: str


def is_key(text: str) -> bool:
    """Tell whether this may be a key: printable ASCII, not too long."""
    return _KEY.fullmatch(text) is not None


def once(key: str, client: str, place: tuple[int, int], data: bytes, top: int) -> Once:
    """Describe an upload by its `place`: number and count; `client` keeps clients' keys apart."""
    number, count = place
    name = hashlib.sha256("\0".join((client, key, str(number))).encode()).hexdigest()
    digest = hashlib.sha256(f"{count}:{top}:".encode())
    digest.update(data)
    return Once(name, digest.hexdigest())
