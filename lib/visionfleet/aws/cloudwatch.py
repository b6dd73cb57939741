"""The CloudWatch edge: publishes the metrics of a deployment's alarms."""

from typing import TYPE_CHECKING

from visionfleet.aws.errors import wrapped_errors

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

NAMESPACE = "visionfleet"
AT_MAXIMUM = "AtMaximum"


def publish_at_maximum(client: "CloudWatchClient", deployment: str, full: bool) -> None:
    """Permission: cloudwatch:PutMetricData, best with the namespace as its condition."""
    dimensions = [{"Name": "Deployment", "Value": deployment}]
    with wrapped_errors("publish a metric"):
        client.put_metric_data(
            Namespace=NAMESPACE,
            MetricData=[
                {"MetricName": AT_MAXIMUM, "Dimensions": dimensions, "Value": float(full)}  # type: ignore[typeddict-item]
            ],
        )
