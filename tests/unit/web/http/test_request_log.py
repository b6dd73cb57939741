import logging
from functools import partial

import pytest

from visionfleet.web.http.request_log import TEXT_LENGTH, MalformedFilter, RequestLog


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, object, object]]:
    return [
        (one.getMessage(), one.__dict__["path"], one.__dict__.get("count"))
        for one in caplog.records
    ]


def test_clients_without_a_key_share_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "web")
    now = [0.0]
    log = RequestLog(lambda: now[0])
    for path in "abc":
        log.write("request", partial(dict, path=path), unauthenticated=True)
    log.write("refused", lambda: {"path": "x"}, unauthenticated=True)
    for path in "de":
        log.write("request", partial(dict, path=path), unauthenticated=False)
    now[0] = 60.0
    log.write("request", lambda: {"path": "f"}, unauthenticated=True)
    assert told(caplog) == [
        ("request", "a", 1),
        ("refused", "x", 1),
        ("request", "d", None),
        ("request", "e", None),
        ("request", "f", 3),
    ]


def test_texts_of_clients_are_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "web")
    RequestLog(lambda: 0.0).write("request", lambda: {"path": "a" * 30_000}, unauthenticated=False)
    assert told(caplog) == [("request", "a" * TEXT_LENGTH + "...", None)]


def test_malformed_requests_share_a_short_line() -> None:
    sieve = MalformedFilter(lambda: 0.0)

    def record() -> logging.LogRecord:
        text = ("%s", ("x" * 30_000,))
        return logging.LogRecord("tornado.general", logging.INFO, "", 1, *text, None)

    first, second = record(), record()
    assert (sieve.filter(first), sieve.filter(second)) == (True, False)
    assert len(first.getMessage()) < 2 * TEXT_LENGTH
