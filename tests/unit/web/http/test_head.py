"""What a request must begin with: other protocols are told apart by their first line."""

import re
from random import Random

import pytest

from testkit.processes.cpu_time import takes_less_than
from visionfleet.web.http.head import (
    EMPTY_BYTES,
    HEAD_LINES,
    HEADER_BYTES,
    QUERY_MEMBERS,
    TARGET_BYTES,
    fault_of_head,
    fault_of_start,
    is_whole,
    measured,
)
from visionfleet.web.problems import Problem

REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.0\n\n",
    b"\r\nPOST /v1/jobs?top=3 HTTP/1.1\r\nHost: x\r\n\r\nbody",
    b"\r\n\r\n\n" * 5 + b"OPTIONS * HTTP/1.1\r\n\r\n",
    b"get http://x/\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"M-SEARCH /" + b"a" * (TARGET_BYTES - 30) + b" HTTP/1.1\r\n\r\n" + b"\n" * 9999,
]


@pytest.mark.parametrize("request_bytes", REQUESTS, ids=lambda sent: repr(sent[:20]))
def test_beginning_of_a_request_is_right_at_every_byte(request_bytes: bytes) -> None:
    end = min(len(request_bytes), TARGET_BYTES + 100)
    for length in (*range(min(end, 100)), end - 20, end):
        assert fault_of_start(request_bytes[:length], tls=False) is None, length
    assert is_whole(request_bytes)
    assert not is_whole(request_bytes[:10])


def fault(first: bytes) -> Problem:
    found = fault_of_head(first)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "line",
    [
        b"SSH-2.0-OpenSSH_9.2",
        b"EHLO x",
        b"*1",
        b"PING",
        b"QUIT",
        b"USER anonymous",
        b"a001 LOGIN me secret",
        b"stats",
        b"set k 0 0 1",
        b"CONNECT",
        b"NICK me",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2",
        b"OPTIONS rtsp://x/ RTSP/1.0",
        b"OPTIONS sip:nm SIP/2.0",
        b"PRI * HTTP/2.0",
        b"GET /",
        b"GET / ",
        b"GET  / HTTP/1.1",
        b"GET  /  HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET / http/1.1",
        b"GET / HTTP/1.10",
        b"GET / HTTP/11",
        b"GET\t/\tHTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET /\rx HTTP/1.1",
        b"GET / HTTP/1.1\r\r",
        b"GET /\0 HTTP/1.1",
        b"GET:/ HTTP/1.1",
        b"{}",
    ],
)
def test_first_line_that_is_no_request_is_told_at_its_end(line: bytes) -> None:
    for sent in (line + b"\r\n", line + b"\n", b"\r\n" + line + b"\r\nmore"):
        assert fault(sent).status == 400, sent


@pytest.mark.parametrize(
    "begun",
    [b"AMQP\0", b"JRMI\0\2K", b"GIOP\1", b"GET  ", b"GET / ftp", b"\0", b"GET / HTTP/1.1\r\r"],
)
def test_what_cannot_become_a_request_is_told_before_a_line_ends(begun: bytes) -> None:
    assert fault(begun).status == 400


@pytest.mark.parametrize(
    ("begun", "said"),
    [
        (b"GET /" + b"a" * TARGET_BYTES, "target"),
        (b"GET /?" + b"a&" * (QUERY_MEMBERS + 1), "query"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * HEAD_LINES, "lines"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * HEADER_BYTES, "bytes"),
    ],
)
def test_head_over_its_limit_is_told_before_it_ends(begun: bytes, said: str) -> None:
    assert fault(begun).status == 431
    assert said in fault(begun).detail


def test_empty_lines_without_end_are_told() -> None:
    assert fault_of_head(b"\r\n" * (EMPTY_BYTES // 2)) is None
    assert "empty lines" in fault(b"\r\n" * EMPTY_BYTES).detail


def test_largest_headers_are_judged_in_no_time() -> None:
    """Each connection is looked at before its turn: 0.3 ms a look held up the others, and 0.1 ms
    was still most of what many new connections cost.
    """
    lines = b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 5990
    line = b"GET / HTTP/1.1\r\nx: " + b"y" * 30_000

    def judge() -> None:
        for _ in range(100):
            assert fault_of_head(lines) is not None
            assert not is_whole(line)

    assert takes_less_than(0.008, judge)


def test_headers_end_where_a_regular_expression_finds_their_end() -> None:
    random, end = Random(7), re.compile(rb"\r?\n\r?\n")  # as Tornado's
    for _ in range(3000):
        sent = bytes(random.choices(b"a\r\n", (3, 1, 1), k=random.randrange(20)))
        found = end.search(sent)
        assert measured(sent)[0] == (found and found.end()), sent
