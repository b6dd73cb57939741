"""The one door to AWS: makes boto3 clients, and wraps botocore's errors into ours."""

from visionfleet.aws.clients import ClientFactory
from visionfleet.aws.errors import entry_error, wrapped_errors
from visionfleet.aws.s3_direct import DirectS3

__all__ = ["ClientFactory", "DirectS3", "entry_error", "wrapped_errors"]
