"""AWS: makes botocore clients, calls S3, SQS and the rest, turns botocore's errors into ours."""
