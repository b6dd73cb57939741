"""Outages are logged once per episode."""

import logging

import pytest

from visionfleet.logs.episode import Episode

LOG = logging.getLogger("web")


def test_an_outage_is_told_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "web")
    times = iter((5.0, 12.0, 20.0))
    clock = times.__next__
    outage = Episode(LOG, "replies cannot be received", "replies are received again", clock)
    outage.succeeded()
    outage.failed("no route", tries=1)
    outage.failed("no route")
    outage.succeeded()
    outage.succeeded()
    outage.failed("no route")
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == [
        ("WARNING", "replies cannot be received"),
        ("DEBUG", "replies cannot be received"),
        ("INFO", "replies are received again"),
        ("WARNING", "replies cannot be received"),
    ]
    assert vars(caplog.records[0])["tries"] == 1
    assert vars(caplog.records[2])["seconds"] == 7.0


def test_without_a_sentence_the_end_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "web")
    outage = Episode(LOG, "metric not published")
    outage.failed("denied")
    outage.succeeded()
    assert [record.getMessage() for record in caplog.records] == ["metric not published"]
