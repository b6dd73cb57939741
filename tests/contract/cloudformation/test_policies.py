"""The roles' policies, as a stack makes them: linted, and with a customer's key simulated."""

import re
from typing import Any

import pytest
from cloudsplaining.scan.policy_document import PolicyDocument

from testkit.aws.cloudformation_stack import KMS_KEY, CloudStack, parameters, properties
from testkit.aws.iam_policies import Call, allowed
from testkit.aws.policy_faults import faults

POLICIES = (
    *("WebPolicy", "ScalerPolicy", "WorkerPolicy", "SignalPolicy", "OperatorPolicy"),
    *("KeyPolicy", "ScalerKeyPolicy"),
)
S3, SQS = "s3.us-east-1.amazonaws.com", "sqs.us-east-1.amazonaws.com"
# Which services use the key in the name of whom.
USERS = {"WebRole": {S3, SQS}, "ScalerRole": {S3}, "WorkerRole": {S3, SQS}, "Operators": {S3, SQS}}
# The reference leaves it out; EC2's guide asks for it, "Spot Instance permissions".
SPOT = "ec2:RunInstances knows no resource like arn:aws:ec2:us-east-1:123456789012:spot-instances-"
OTHER_KEY = KMS_KEY.replace("1234abcd", "abcd1234")


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_say_what_iam_knows(policy: str, balanced: CloudStack) -> None:
    assert [fault for fault in faults(balanced.policy(policy)) if SPOT not in fault] == []


@pytest.mark.parametrize("policy", POLICIES)
def test_policy_linter_finds_no_danger(policy: str, balanced: CloudStack) -> None:
    found = PolicyDocument(balanced.policy(policy))
    assert found.allows_privilege_escalation == []
    assert found.allows_data_exfiltration_actions == []
    assert found.infrastructure_modification == []
    assert found.permissions_management_without_constraints == []
    assert found.credentials_exposure == []
    assert found.service_wildcard == []


def via(service: str) -> dict[str, str]:
    return {"kms:ViaService": service}


def may(who: str, stack: CloudStack) -> dict[str, Any]:
    people = who == "Operators"
    return stack.policy("OperatorPolicy", "KeyPolicy") if people else stack.policies_of(who)


@pytest.mark.parametrize("who", USERS)
def test_roles_use_the_key_through_their_services(who: str, balanced: CloudStack) -> None:
    document = may(who, balanced)
    for service in (S3, SQS):
        for action in ("kms:Decrypt", "kms:GenerateDataKey"):
            call = Call(action, KMS_KEY, via(service))
            assert allowed(document, call) is (service in USERS[who]), call


REFUSED = (
    Call("kms:Decrypt", KMS_KEY),
    Call("kms:GenerateDataKey", KMS_KEY),
    Call("kms:Decrypt", KMS_KEY, via("ec2.us-east-1.amazonaws.com")),
    Call("kms:Decrypt", KMS_KEY, via("s3.eu-west-1.amazonaws.com")),
    Call("kms:Decrypt", OTHER_KEY, via(S3)),
    Call("kms:Encrypt", KMS_KEY, via(S3)),
    Call("kms:CreateGrant", KMS_KEY, via(S3)),
    Call("kms:PutKeyPolicy", KMS_KEY),
    Call("kms:ScheduleKeyDeletion", KMS_KEY),
)


@pytest.mark.parametrize("who", USERS)
def test_roles_may_do_nothing_else_with_keys(who: str, balanced: CloudStack) -> None:
    document = may(who, balanced)
    assert [str(call) for call in REFUSED if allowed(document, call)] == []


def test_without_a_key_no_role_knows_of_kms(stack: CloudStack) -> None:
    assert {"KeyPolicy", "ScalerKeyPolicy"}.isdisjoint(stack.resources)
    for role in ("WebRole", "ScalerRole", "WorkerRole"):
        assert "kms" not in str(stack.policies_of(role))


@pytest.mark.parametrize("bucket", ["InputBucket", "OutputBucket"])
def test_buckets_encrypt_by_the_customer_s_key(bucket: str, balanced: CloudStack) -> None:
    answer = balanced.aws.s3.get_bucket_encryption(Bucket=balanced.outputs[bucket])
    (rule,) = answer["ServerSideEncryptionConfiguration"]["Rules"]
    default = rule["ApplyServerSideEncryptionByDefault"]
    assert (default["SSEAlgorithm"], default["KMSMasterKeyID"]) == ("aws:kms", KMS_KEY)
    encryption = properties(bucket)["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    key = encryption[0]["BucketKeyEnabled"]["Fn::If"]
    assert key[:2] == ["HasKey", True], "each object would be a call of KMS"


@pytest.mark.parametrize("queue", ["photos-requests", "photos-requests-dead"])
def test_queues_encrypt_by_the_customer_s_key(queue: str, balanced: CloudStack) -> None:
    url = balanced.aws.queue_url(queue)
    found: dict[str, Any] = balanced.aws.sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=["All"]
    )["Attributes"]
    assert found["KmsMasterKeyId"] == KMS_KEY
    assert found.get("SqsManagedSseEnabled", "false") == "false", "SQS refuses both"


def test_a_new_key_replaces_the_web_hosts(balanced: CloudStack) -> None:
    """They look up the key of their reply queues when they start."""
    assert KMS_KEY in balanced.user_data("WebTemplate")


@pytest.mark.parametrize(
    ("arn", "answer"),
    [
        ("", True),
        (KMS_KEY, True),
        ("arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab", True),
        ("arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/" + KMS_KEY[-36:], True),
        (KMS_KEY[-36:], False),
        ("alias/photos", False),
        ("arn:aws:kms:us-east-1:123456789012:alias/photos", False),
        (KMS_KEY + " ", False),
    ],
)
def test_the_key_is_given_by_its_arn(arn: str, answer: bool) -> None:
    assert bool(re.search(parameters()["KmsKeyArn"]["AllowedPattern"], arn)) is answer
