"""The metrics that the alarms watch, as CloudWatch receives them."""

import boto3
import pytest

from testkit.aws.embedded import CREDENTIALS, Cloud
from visionfleet.aws.clients import ClientFactory
from visionfleet.aws.cloudwatch import publish_at_maximum
from visionfleet.errors import TryLater


def factory(endpoint_url: str) -> ClientFactory:
    return ClientFactory("us-east-1", endpoint_url, 3.0, 1, placeholder_credentials=True)


def test_metric_has_the_deployment_as_its_dimension(
    aws: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_at_maximum(factory(aws.endpoint_url).client("cloudwatch"), "photos", True)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    reader = boto3.client("cloudwatch", region_name="us-east-1", endpoint_url=aws.endpoint_url)
    (metric,) = reader.list_metrics(Namespace="visionfleet")["Metrics"]
    assert metric["MetricName"] == "AtMaximum"
    assert metric["Dimensions"] == [{"Name": "Deployment", "Value": "photos"}]


def test_unreachable_cloudwatch_is_try_later() -> None:
    with pytest.raises(TryLater):
        publish_at_maximum(factory("http://127.0.0.1:9").client("cloudwatch"), "photos", False)
