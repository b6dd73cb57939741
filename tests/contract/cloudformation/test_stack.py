"""The CloudFormation stack, created at the embedded AWS: its resources and their settings."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from testkit.aws.cloudformation_stack import (
    DAEMONS,
    IMAGE,
    CloudStack,
    create,
    dumped,
    properties,
    resources,
)
from visionfleet.aws.provisioning import provision_queues
from visionfleet.config import Config, load
from visionfleet.contract import names as naming
from visionfleet.host import user_data
from visionfleet.web.http.server import IDLE_SECONDS


def attributes(stack: CloudStack, queue: str) -> dict[str, Any]:
    url = stack.aws.queue_url(queue)
    found = stack.aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    kept = ("VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy", "DelaySeconds")
    return {name: found.get(name) for name in (*kept, "MaximumMessageSize")}


def test_stack_makes_the_queues_that_provisioning_makes(stack: CloudStack) -> None:
    names = (naming.requests_queue("visionfleet"), naming.dead_queue("visionfleet"))
    made = [attributes(stack, name) for name in names]
    for name in names:
        stack.aws.sqs.delete_queue(QueueUrl=stack.aws.queue_url(name))
    config = Config()
    list(provision_queues(stack.aws.sqs, config.name, config.queue))
    provisioned = [attributes(stack, name) for name in names]
    for each in (*made, *provisioned):
        each["RedrivePolicy"] = json.loads(each["RedrivePolicy"] or "null")
    assert made == provisioned
    assert made[0]["RedrivePolicy"]["maxReceiveCount"] == Config().queue.max_receives


def test_no_update_deletes_accepted_requests_or_results() -> None:
    kept = {"AWS::S3::Bucket", "AWS::SQS::Queue"}
    found = [each for each in resources().values() if each["Type"] in kept]
    assert [each["UpdateReplacePolicy"] for each in found] == ["Retain"] * 4


@pytest.mark.parametrize("bucket", ["InputBucket", "OutputBucket"])
def test_buckets_are_private_encrypted_and_retained(bucket: str, stack: CloudStack) -> None:
    name = stack.outputs[bucket]
    rules = stack.aws.s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]
    assert rules["Rules"][0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert set(properties(bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    owned = properties(bucket)["OwnershipControls"]["Rules"]
    assert owned == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    whole = resources()[bucket]
    assert whole["DeletionPolicy"] == whole["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("daemon", DAEMONS)
def test_hosts_require_imdsv2_and_encrypted_disks(daemon: str, stack: CloudStack) -> None:
    data = stack.launch_data(f"{daemon}Template")
    assert data["ImageId"] == IMAGE
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    (disk,) = data["BlockDeviceMappings"]
    assert disk["Ebs"] == {
        "Encrypted": True,
        "VolumeType": "gp3",
        "DeleteOnTermination": True,
        "VolumeSize": 8,
    }
    assert data["SecurityGroupIds"] == [stack.resources[f"{daemon}Group"]]
    assert "NetworkInterfaces" not in data, "EC2 would refuse a subnet beside it"
    assert "KeyName" not in data


@pytest.mark.parametrize("daemon", DAEMONS)
def test_each_daemon_has_a_role_of_its_own(daemon: str, stack: CloudStack) -> None:
    role = stack.role(stack.launch_data(f"{daemon}Template")["IamInstanceProfile"]["Arn"])
    assert role.endswith(f"role/{stack.resources[f'{daemon}Role']}")
    told = [] if daemon == "Worker" else [{"Ref": "SignalPolicy"}]
    assert properties(f"{daemon}Role")["ManagedPolicyArns"] == [{"Ref": f"{daemon}Policy"}, *told]
    assert "Policies" not in properties(f"{daemon}Role")


@pytest.mark.parametrize("daemon", DAEMONS)
def test_user_data_is_what_the_image_reads(daemon: str, balanced: CloudStack) -> None:
    text = balanced.user_data(f"{daemon}Template")
    assert text.splitlines()[0] == "#visionfleet"
    asked = user_data.read(text.encode())
    assert asked is not None, "read as the image reads it"
    assert asked.units == (user_data.UNITS[daemon.lower()],)
    assert yaml.safe_load(asked.operator_settings) == {"images": {"max_bytes": 5_000_000}}
    waiting = None if daemon == "Worker" else user_data.StackSignal("photos", f"{daemon}HostGroup")
    assert asked.signal == waiting
    encoded = balanced.launch_data(f"{daemon}Template")["UserData"]
    assert len(base64.b64decode(encoded)) < 16_384, "EC2 takes no more"


def configuration(settings: Mapping[str, Any], folder: Path) -> Config:
    path = folder / "visionfleet.yaml"
    path.write_text(dumped(settings))
    return load(path, {}).config


@pytest.mark.parametrize("daemon", DAEMONS)
@pytest.mark.parametrize("which", ["stack", "balanced"])
def test_user_data_is_a_valid_configuration(
    daemon: str, which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made: CloudStack = request.getfixturevalue(which)
    found = configuration(made.drop_in(f"{daemon}Template"), tmp_path)
    assert found.storage.input_bucket == made.outputs["InputBucket"]
    assert found.storage.output_bucket == made.outputs["OutputBucket"]
    assert found.aws.bucket_owner == "123456789012", "the account of the stack"


def test_worker_settings_fit_the_ec2_fleet(stack: CloudStack, tmp_path: Path) -> None:
    assert configuration(stack.drop_in("WorkerTemplate"), tmp_path).classifier.ec2_instance


def test_model_of_ones_own_reaches_the_workers(
    stack: CloudStack, balanced: CloudStack, tmp_path: Path
) -> None:
    found = configuration(balanced.drop_in("WorkerTemplate"), tmp_path).model
    assert (found.name, found.path) == ("birds", "s3://out/models/birds.pt")
    assert (found.sha256, found.labels) == ("ab" * 32, "s3://out/models/birds.txt")
    assert configuration(stack.drop_in("WorkerTemplate"), tmp_path).model == Config().model


@pytest.mark.parametrize("group", ["WebHostGroup", "ScalerHostGroup"])
def test_updates_wait_for_the_signal_of_ready_daemons(group: str) -> None:
    """No emulator waits for signals, so what CloudFormation would do is read from the template."""
    whole = resources()[group]
    update = whole["UpdatePolicy"]["AutoScalingRollingUpdate"]
    assert update["WaitOnResourceSignals"] is True
    assert update["PauseTime"] == "PT10M"
    created = whole["CreationPolicy"]["ResourceSignal"]
    assert (created["Count"], created["Timeout"]) == (whole["Properties"]["MinSize"], "PT15M")
    (statement,) = properties("SignalPolicy")["PolicyDocument"]["Statement"]
    assert statement["Action"] == "cloudformation:SignalResource"
    assert statement["Resource"]["Fn::Sub"].endswith(":stack/${AWS::StackName}/*")


def test_scaler_settings_name_template_types_and_subnets(
    balanced: CloudStack, tmp_path: Path
) -> None:
    found = configuration(balanced.drop_in("ScalerTemplate"), tmp_path)
    assert found.scaler.fleet == "ec2", "with it come the metrics that two alarms live on"
    assert found.scaler.maximum == 19
    assert found.ec2.launch_template == balanced.resources["WorkerTemplate"]
    assert found.ec2.template_version == "1", "a number: what runs changes with an update only"
    assert found.ec2.instance_types == ("c7i.large", "c6i.large")
    assert len(found.ec2.subnets) == 2
    assert found.ec2.markets == ("spot", "on-demand")


def test_spot_alone_and_paid_disks_of_workers(stack: CloudStack, tmp_path: Path) -> None:
    assert configuration(stack.drop_in("ScalerTemplate"), tmp_path).ec2.markets == ("on-demand",)
    made = create(stack.aws, Name="cheap", Spot="only", VolumeInitializationRate="200")
    assert configuration(made.drop_in("ScalerTemplate"), tmp_path).ec2.markets == ("spot",)
    disks = {d: made.launch_data(f"{d}Template")["BlockDeviceMappings"][0]["Ebs"] for d in DAEMONS}
    assert [d for d in disks if disks[d].get("VolumeInitializationRate") == 200] == ["Worker"]


def test_web_waits_no_longer_than_the_load_balancer(
    stack: CloudStack, balanced: CloudStack, tmp_path: Path
) -> None:
    alone = configuration(stack.drop_in("WebTemplate"), tmp_path).web
    assert (alone.address, alone.auth, alone.trusted_proxies) == ("0.0.0.0", "keys", ())
    assert alone.max_wait_seconds == Config().web.max_wait_seconds
    behind = configuration(balanced.drop_in("WebTemplate"), tmp_path).web
    assert [str(each) for each in behind.trusted_proxies] == ["172.31.0.0/16"]
    assert [kept.id for kept in behind.keys] == ["a" * 10, "b" * 10]
    assert behind.cors_origins == ("https://a.example", "https://b.example")
    given = properties("Balancer")["LoadBalancerAttributes"]
    idle = {each["Key"]: each["Value"] for each in given}["idle_timeout.timeout_seconds"]
    assert behind.max_wait_seconds < int(idle) < IDLE_SECONDS


def test_load_balancer_speaks_tls_and_checks_readiness(balanced: CloudStack) -> None:
    elb = balanced.client("elbv2")
    (listener,) = elb.describe_listeners(LoadBalancerArn=balanced.resources["Balancer"])[
        "Listeners"
    ]
    assert (listener["Protocol"], listener["Port"]) == ("HTTPS", 443)
    assert "TLS13" in listener["SslPolicy"]
    (targets,) = elb.describe_target_groups()["TargetGroups"]
    assert (targets["HealthCheckPath"], targets["Port"]) == ("/readyz", 8080)
    assert properties("WebTargets")["Matcher"] == {"HttpCode": "200"}
    groups = balanced.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    (web,) = (group for group in groups if group["TargetGroupARNs"])
    assert web["HealthCheckType"] == "EC2", "an outage of S3 replaces no host"


def test_without_a_certificate_there_is_no_load_balancer(stack: CloudStack) -> None:
    assert "Balancer" not in stack.resources
    assert "Url" not in stack.outputs


def ingress(stack: CloudStack, group: str) -> list[tuple[int, str]]:
    """Port and from where, for each way in."""
    (found,) = stack.client("ec2").describe_security_groups(GroupIds=[stack.resources[group]])[
        "SecurityGroups"
    ]
    return sorted(
        (rule["FromPort"], source)
        for rule in found["IpPermissions"]
        for source in (
            *(each["CidrIp"] for each in rule["IpRanges"]),
            *(each["GroupId"] for each in rule["UserIdGroupPairs"]),
        )
    )


def test_security_groups_admit_only_clients_to_web(stack: CloudStack, balanced: CloudStack) -> None:
    clients = "203.0.113.0/24"
    for made in (stack, balanced):
        assert ingress(made, "WorkerGroup") == []
    assert ingress(stack, "ScalerGroup") == []
    assert ingress(stack, "WebGroup") == [(8080, clients)]
    assert ingress(balanced, "ScalerGroup") == [(22, clients)]
    from_balancer = (8080, balanced.resources["BalancerGroup"])
    assert ingress(balanced, "WebGroup") == [(22, clients), from_balancer]
    assert ingress(balanced, "BalancerGroup") == [(443, clients)]


@pytest.mark.parametrize("group", ["WebHostGroup", "ScalerHostGroup"])
def test_auto_scaling_groups_heal_and_update_one_by_one(group: str, stack: CloudStack) -> None:
    (found,) = stack.client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[stack.outputs[group]]
    )["AutoScalingGroups"]
    assert found["MinSize"] == found["DesiredCapacity"] == 1
    assert found["MaxSize"] > 1, "room for the new host beside the old one"
    whole = resources()[group]
    update = whole["UpdatePolicy"]["AutoScalingRollingUpdate"]
    assert update["MinInstancesInService"] == whole["Properties"]["MinSize"]


def test_web_and_scaler_hosts_do_not_count_as_workers(stack: CloudStack) -> None:
    """What carries the tags of workers would be counted, and could be ended, by the scaler."""
    for group in ("WebHostGroup", "ScalerHostGroup"):
        keys = {tag["Key"] for tag in properties(group)["Tags"]}
        assert keys == {"Name"}
    found = stack.client("ec2").describe_instances(
        Filters=[{"Name": "tag:visionfleet:deployment", "Values": ["visionfleet"]}]
    )
    assert found["Reservations"] == []


def test_stack_output_is_a_configuration_for_any_machine(stack: CloudStack, tmp_path: Path) -> None:
    drop_in = yaml.safe_load(stack.outputs["Configuration"])
    found = configuration(drop_in, tmp_path)
    hosts = configuration(stack.drop_in("ScalerTemplate"), tmp_path)
    assert found.ec2 == hosts.ec2
    assert found.storage == hosts.storage
    assert found.name == hosts.name
