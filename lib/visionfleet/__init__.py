"""visionfleet: elastic image recognition over S3 and SQS."""

__version__ = "0.1.0"
