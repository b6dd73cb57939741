"""The settings that handlers go by. No I/O here."""

from collections.abc import Sequence
from dataclasses import dataclass

from visionfleet.web.http.forwarded import Network


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for one request. `one_bytes` and `all_bytes` bound its body."""

    one_bytes: int
    all_bytes: int
    patience_bytes: int
    max_files: int
    plain_reply: str
    trusted_proxies: Sequence[Network]
    plain_wait_seconds: float
    wait_seconds: float
    max_wait_seconds: float
    model: str
    cors_origins: tuple[str, ...]
