"""The AWS edge: botocore clients for S3, SQS and others, with wrapped errors."""
