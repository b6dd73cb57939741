"""boto3 clients that try once, and what S3 and SQS say no with."""

from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from testkit.aws.embedded import Cloud


def bare_client(made: Cloud, service: Any, account: str = "test") -> Any:
    """Make a client; twelve digits as the key are an account, where the emulator has several."""
    return boto3.client(
        service,
        "us-east-1",
        endpoint_url=made.endpoint_url,
        aws_access_key_id=account,
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def answer(call: Callable[..., Any], **parameters: Any) -> str:
    """Tell how a call is answered: "ok", or code and status, as "NoSuchKey 404"."""
    try:
        call(**parameters)
    except ClientError as error:
        code = error.response["Error"].get("Code", "").removeprefix("AWS.SimpleQueueService.")
        return f"{code} {error.response['ResponseMetadata']['HTTPStatusCode']}"
    return "ok"
