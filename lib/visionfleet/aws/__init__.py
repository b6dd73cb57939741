"""AWS: makes boto3 clients, calls S3, SQS and the rest, and turns botocore's errors into ours."""
