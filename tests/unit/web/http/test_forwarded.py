"""Client addresses behind proxies."""

from ipaddress import ip_network

import pytest

from visionfleet.web.http.forwarded import client

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("::1/128")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),  # the first entry is hearsay
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),  # two proxies of ours
        ("::1", "203.0.113.9", "203.0.113.9"),
        ("203.0.113.9", "1.1.1.1", "203.0.113.9"),  # someone claims to be somebody else
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, nonsense", "10.0.0.1"),
        ("unix", "1.1.1.1", "unix"),
        ("10.0.0.1", "fe80::1%eth0\\x", "10.0.0.1"),
    ],
)
def test_client_address_behind_trusted_proxies(peer: str, forwarded: str, found: str) -> None:
    assert client(peer, forwarded, TRUSTED) == found
    assert client(peer, forwarded, []) == peer
