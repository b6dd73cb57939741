"""What is found to be wrong with a policy."""

from typing import Any

import pytest

from testkit.aws.policy_faults import faults

KEY, INSTANCES = "arn:aws:kms:us-east-1:1:key/k", "arn:aws:ec2:us-east-1:1:instance/*"


def statement(action: str, resource: str, *keys: str) -> dict[str, Any]:
    condition = {"StringEquals": dict.fromkeys(keys, "x")}
    return {"Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition}


@pytest.mark.parametrize(
    "good",
    [
        statement("kms:Decrypt", KEY, "kms:ViaService"),
        statement("sqs:ListQueues", "*"),
        statement("cloudwatch:PutMetricData", "*", "cloudwatch:namespace"),
        statement("ec2:RunInstances", INSTANCES, "aws:RequestTag/a:b"),
        statement("s3:GetObject", "arn:aws:s3:::bucket/images/*"),
    ],
)
def test_policy_that_iam_understands_has_no_faults(good: dict[str, Any]) -> None:
    assert faults({"Statement": [good]}) == []


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (statement("kms:Decrpyt", KEY), "there is no action kms:Decrpyt"),
        (statement("kmss:Decrypt", KEY), "there is no action kmss:Decrypt"),
        (statement("s3:ListBucket", "arn:aws:s3:::b/k"), "s3:ListBucket knows no resource like"),
        (statement("s3:GetObject", "arn:aws:s3:::b"), "s3:GetObject knows no resource like"),
        (
            statement("s3:GetObject", "arn:aws:s3:::b/k", "kms:ViaService"),
            "knows no kms:ViaService",
        ),
        (statement("ec2:RunInstances", INSTANCES, "ec2:IsTemplate"), "knows no ec2:IsTemplate"),
    ],
)
def test_policy_faults_are_told(bad: dict[str, Any], told: str) -> None:
    (fault,) = faults({"Statement": [bad]})
    assert told in fault
