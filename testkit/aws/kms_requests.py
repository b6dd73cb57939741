"""What S3 and SQS ask of KMS, in the name of who calls them, where a customer's key encrypts.

Written after AWS's guides: Amazon S3, "Using server-side encryption with AWS KMS keys", and Amazon
SQS, "Key management".
"""

from collections.abc import Iterable, Iterator

from testkit.aws.iam_policies import Call
from testkit.aws.iam_requests import REGION

USES = {
    "s3:PutObject": ("kms:GenerateDataKey",),
    "s3:GetObject": ("kms:Decrypt",),
    # To verify that the data key is whole.
    "sqs:SendMessage": ("kms:GenerateDataKey", "kms:Decrypt"),
    "sqs:ReceiveMessage": ("kms:Decrypt",),
}


def key_calls(asked: Iterable[Call], key: str) -> Iterator[Call]:
    """Tell what calls of S3 and SQS ask of the key, whatever bucket or queue it is."""
    for call in asked:
        service = call.action.partition(":")[0]
        for action in USES.get(call.action, ()):
            via = {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"}
            yield Call(action, key, via)
