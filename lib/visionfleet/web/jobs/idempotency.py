"""`Idempotency-Key`: the same key with the same bytes is the same job. No I/O here."""

import hashlib
from dataclasses import dataclass
from ipaddress import ip_address


@dataclass(frozen=True, slots=True)
class Once:
    """An upload that may be repeated: the `name` of its record, and the `digest` of its content."""

    name: str
    digest: str


def caller(authorization: str, x_api_key: str, address: str) -> str:
    """Identify a client: by its credentials, else by its address."""
    said = f"{authorization}\0{x_api_key}"
    is_remote = said == "\0" and not ip_address(address).is_loopback
    return f"{said}\0{address}" if is_remote else said


def once(
    key: str, client: str, place: tuple[int, int], data: bytes, top: int, embed: bool = False
) -> Once:
    """Identify one upload of a client's request by its `place` (number, count)."""
    number, count = place
    name = hashlib.sha256("\0".join((client, key, str(number))).encode()).hexdigest()
    digest = hashlib.sha256(f"{count}:{top}:{'embed:' if embed else ''}".encode())
    digest.update(data)
    return Once(name, digest.hexdigest())
