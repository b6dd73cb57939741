"""Tells whether an endpoint is on this machine. No I/O here."""

import ipaddress
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def loopback_address(endpoint_url: str | None) -> tuple[str, int] | None:
    if endpoint_url is None:
        return None
    parts = urlsplit(endpoint_url)
    host = parts.hostname or ""
    try:
        return (host, parts.port or _PORTS[parts.scheme]) if is_loopback(host) else None
    except (KeyError, ValueError):
        return None


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
