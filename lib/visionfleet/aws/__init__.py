"""The one door to AWS: makes boto3 clients, and wraps botocore's errors into ours."""

from visionfleet.aws.access import Access
from visionfleet.aws.direct import DirectS3
from visionfleet.aws.errors import entry_error, wrapped_errors

__all__ = ["Access", "DirectS3", "entry_error", "wrapped_errors"]
