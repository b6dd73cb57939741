"""Checks request targets and Host headers. No I/O here."""

import re
from collections.abc import Collection
from ipaddress import ip_address

# RFC 3986: the characters allowed in a path, besides percent-encoding.
_PLAIN = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_ODDITIES = (
    (re.compile(r"//"), "it has an empty segment"),
    (re.compile(r"(?i)/(?:\.|%2e){1,2}(?:/|$)"), "it has a dot segment"),
    (re.compile(r"(?i)%2f|%5c|\\"), "it has a slash that is encoded, or turned"),
    (re.compile(r"(?i)%[01][0-9a-f]|%7f"), "it has a control character"),
)


def fault_of_target(target: str) -> str:
    """Why a target is not a path (absolute-form, authority-form, asterisk); empty if it is."""
    if target.startswith("/"):
        return ""
    return f"the request target {target[:100]!r} is no path: it begins with no slash"


def oddity(path: str) -> str:
    """What makes a path ambiguous between proxies; empty if nothing does."""
    for pattern, fault in _ODDITIES:
        if pattern.search(path):
            return fault
    return "" if _PLAIN.fullmatch(path) else "it has characters that are not encoded"


def without_prefix(path: str, prefix: str) -> str:
    """Strip the public path prefix, unless the proxy did."""
    return path[len(prefix) :] if prefix and path.startswith(prefix + "/") else path


def names_of(address_is_loopback: bool, hosts: Collection[str], machine: str) -> frozenset[str]:
    """The host names under which the service may be called; empty if any may be right."""
    if "*" in hosts or not (address_is_loopback or hosts):
        return frozenset()
    own = machine.lower()
    return frozenset({own, f"{own}.local", "localhost", *(name.lower() for name in hosts)})


def is_called(host: str, names: Collection[str]) -> bool:
    """Whether a Host header is one of the names.

    Addresses and single-label names are accepted too: DNS rebinding cannot use them.
    """
    if not names:
        return True
    name = _name(host).rstrip(".").lower()
    return "." not in name or name in names or name.endswith(".localhost") or _is_address(name)


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
