"""What the scaler publishes to CloudWatch: once a minute, and a refusal stops nothing."""

import logging

import pytest

from visionfleet.errors import GiveUp, TryLater
from visionfleet.scaler.maximum_alarm import EVERY_SECONDS, AlarmPublisher

TICK_SECONDS = 4


class CloudWatch:
    """Takes what is published, unless an error is set."""

    def __init__(self) -> None:
        self.told: list[bool] = []
        self.error: Exception | None = None

    def publish(self, full: bool) -> None:
        if self.error is not None:
            raise self.error
        self.told.append(full)


def test_cloudwatch_gets_one_point_per_minute() -> None:
    cloud = CloudWatch()
    publisher = AlarmPublisher(cloud.publish)
    minutes = set()
    for now in range(3, 3600, TICK_SECONDS):
        before = len(cloud.told)
        publisher.publish_if_due(False, now)
        if len(cloud.told) > before:
            minutes.add(now // 60)
    assert minutes == set(range(60))
    assert len(cloud.told) <= 3600 / EVERY_SECONDS + 1


def test_cloudwatch_point_has_the_current_state() -> None:
    cloud = CloudWatch()
    publisher = AlarmPublisher(cloud.publish)
    for now, full in ((0, True), (10, False), (50, False), (60, True), (100, True)):
        publisher.publish_if_due(full, now)
    assert cloud.told == [True, False, True]


@pytest.mark.parametrize("error", [TryLater("away"), GiveUp("AccessDenied")])
def test_cloudwatch_refusal_is_logged_once_and_retried(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cloud = CloudWatch()
    publisher = AlarmPublisher(cloud.publish)
    cloud.error = error
    for now in (0, 4, 50, 100):
        publisher.publish_if_due(True, now)
    cloud.error = None
    for now in (104, 150):
        publisher.publish_if_due(True, now)
    assert cloud.told == [True]
    assert [record.message for record in caplog.records] == [
        "metric not published",
        "metrics are published again",
    ]
