"""The CloudWatch edge: publishes what the alarms of a deployment look at."""

from typing import TYPE_CHECKING

from visionfleet.aws.errors import wrapped_errors

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

NAMESPACE = "visionfleet"
AT_MAXIMUM = "AtMaximum"


class AlarmMetrics:
    """The metrics of one deployment, which is their only dimension.

    Permission: cloudwatch:PutMetricData, best with the namespace as its condition.
    """

    def __init__(self, client: "CloudWatchClient", deployment: str) -> None:
        self._client = client
        self._deployment = deployment

    def at_maximum(self, full: bool) -> None:
        dimensions = [{"Name": "Deployment", "Value": self._deployment}]
        with wrapped_errors("publish a metric"):
            self._client.put_metric_data(
                Namespace=NAMESPACE,
                MetricData=[
                    {"MetricName": AT_MAXIMUM, "Dimensions": dimensions, "Value": float(full)}  # type: ignore[typeddict-item]
                ],
            )
