"""The limits of connections that operators read are those that hold."""

import pytest

from testkit import ROOT
from visionfleet.web.http import arrival, connection, head, server
from visionfleet.web.http import connection_limiter as limiter

PAGE = " ".join((ROOT / "docs" / "security.md").read_text().split())
WORDS = {4.0: "four", 5.0: "five"}
DRAINED_MIB = limiter.DRAIN_BYTES * limiter.DRAINS_PER_SECOND / (1 << 20)


@pytest.mark.parametrize(
    "sentence",
    [
        f"clients have at most {limiter.MAX_UNAUTHENTICATED} connections per process.",
        f"has {WORDS[limiter.REST]} times as long for all others",
        f"{DRAINED_MIB:g} MiB a second",
        f"read for {WORDS[arrival.LINGER_SECONDS]} seconds at most",
        f"| {head.HEADER_BYTES >> 10} KiB, {head.HEAD_LINES} lines; "
        f"{head.TARGET_BYTES >> 10} KiB and {head.QUERY_MEMBERS} members of the query",
        f"{limiter.ARRIVALS:,} connections whose first headers are not complete",
        f"| first headers of a connection | {arrival.HEADER_SECONDS:g} seconds",
        f"| an answer that is not read | {connection.PACE_SECONDS:g} seconds, and one more for each"
        " KiB |",
        f"| {connection.CHUNK_BYTES} bytes each on average, beyond the first "
        f"{connection.FREE_CHUNKS:,} |",
        f"| idle connection | {server.IDLE_SECONDS:g} seconds |",
    ],
)
def test_documented_limit_holds(sentence: str) -> None:
    assert sentence in PAGE


def test_documented_pace_is_a_kib_in_a_second() -> None:
    assert connection.PACE_BYTES_PER_SECOND == 1 << 10
