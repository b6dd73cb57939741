"""The client's address behind proxies. No I/O here."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

# The most proxies in a row; clients can send longer lists.
PROXIES = 16
Network = IPv4Network | IPv6Network


def client(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Read X-Forwarded-For from its end, while the entries were added by trusted proxies."""
    found = peer
    for entry in reversed(forwarded_for.rsplit(",", PROXIES)):
        if not _within(found, trusted) or not _is_address(entry.strip()):
            break
        found = entry.strip()
    return found


def _within(address: str, networks: Sequence[Network]) -> bool:
    return _is_address(address) and any(ip_address(address) in one for one in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # an IPv6 scope may be any text
