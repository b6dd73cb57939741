"""`Idempotency-Key`: the same key and the same bytes are the same job. No I/O here."""

import hashlib
from dataclasses import dataclass
from ipaddress import ip_address


@dataclass(frozen=True, slots=True)
class Once:
    """One upload that may come again: `name` is that of its record, `digest` what it holds."""

    name: str
    digest: str


def caller(authorization: str, x_api_key: str, address: str) -> str:
    """Tell clients apart: by what they say of themselves, else by their address."""
    said = f"{authorization}\0{x_api_key}"
    stranger = said == "\0" and not ip_address(address).is_loopback
    return f"{said}\0{address}" if stranger else said


def once(
    key: str, client: str, place: tuple[int, int], data: bytes, top: int, embed: bool = False
) -> Once:
    """Describe an upload by its `place`: number and count; `client` keeps clients' keys apart."""
    number, count = place
    name = hashlib.sha256("\0".join((client, key, str(number))).encode()).hexdigest()
    digest = hashlib.sha256(f"{count}:{top}:{'embed:' if embed else ''}".encode())
    digest.update(data)
    return Once(name, digest.hexdigest())
