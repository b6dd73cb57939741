"""What the alarms look at, as CloudWatch sees it."""

import boto3
import pytest

from testkit.aws.embedded import CREDENTIALS, Cloud, anew
from visionfleet.aws import ClientFactory
from visionfleet.aws.cloudwatch import AlarmMetrics
from visionfleet.errors import TryLater


@pytest.fixture
def aws(running_aws: Cloud) -> Cloud:
    return anew(running_aws)


def door(endpoint_url: str) -> ClientFactory:
    return ClientFactory("us-east-1", endpoint_url, 3.0, 1, placeholder_credentials=True)


def test_a_point_has_the_deployment_as_its_dimension(
    aws: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    AlarmMetrics(door(aws.endpoint_url).client("cloudwatch"), "photos").at_maximum(True)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    reader = boto3.client("cloudwatch", region_name="us-east-1", endpoint_url=aws.endpoint_url)
    (metric,) = reader.list_metrics(Namespace="visionfleet")["Metrics"]
    assert metric["MetricName"] == "AtMaximum"
    assert metric["Dimensions"] == [{"Name": "Deployment", "Value": "photos"}]


def test_cloudwatch_away_is_a_try_later() -> None:
    with pytest.raises(TryLater):
        AlarmMetrics(door("http://127.0.0.1:9").client("cloudwatch"), "photos").at_maximum(False)
