"""What AWS refuses in a stack and no tool knows: docs/emulators.md lists it, with its source."""

import json
import re

import pytest

from testkit import ROOT
from testkit.aws.cloudformation_stack import properties, resources
from visionfleet.fleet.ec2_client import DEPLOYMENT_TAG, LAUNCH_TAG, ROLE_TAG

TABLE = (ROOT / "docs/emulators.md").read_text().partition("and no tool knows")[2]
ROWS = re.findall(
    r"^\| ([^|]+) \| \[.+?\]\((https://[^)]+)\) \| `(test_\w+)` \|$", TABLE, re.MULTILINE
)
MOST_CHARACTERS = 6_144


def test_each_refusal_has_a_test_that_exists() -> None:
    lines = TABLE.partition("\n## ")[0].count("\n| ")
    assert len(ROWS) == lines - 2, "each row has a source and a test"
    text = "".join(path.read_text() for path in (ROOT / "tests/contract").rglob("test_*.py"))
    assert [test for _, _, test in ROWS if f"def {test}(" not in text] == []


@pytest.mark.parametrize(
    "policy",
    [name for name, one in resources().items() if one["Type"] == "AWS::IAM::ManagedPolicy"],
)
def test_policies_fit_the_quota_of_iam(policy: str) -> None:
    """Functions are longer than what they become, but for names of 31 characters and the like."""
    document = json.dumps(properties(policy)["PolicyDocument"], separators=(",", ":"))
    assert len(document) < MOST_CHARACTERS - 1000


def test_alarms_go_to_a_topic_that_takes_them() -> None:
    assert "KmsMasterKeyId" not in properties("AlarmTopic")


def test_tags_can_be_read_from_the_metadata() -> None:
    options = properties("WorkerTemplate")["LaunchTemplateData"]["MetadataOptions"]
    assert options["InstanceMetadataTags"] == "enabled"
    for key in (DEPLOYMENT_TAG, ROLE_TAG, LAUNCH_TAG):
        assert re.fullmatch(r"[A-Za-z0-9+\-=.,_:@]+", key)
