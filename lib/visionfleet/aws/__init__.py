"""AWS: makes clients of botocore, calls S3, SQS and the rest, and turns its errors into ours."""
