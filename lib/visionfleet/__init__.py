"""visionfleet: elastic image recognition over S3 and SQS."""

__version__ = "0.2.0"
