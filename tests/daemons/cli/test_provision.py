"""`visionfleet provision` and `visionfleet embedded-aws` as real processes."""

import sys
from pathlib import Path

import pytest

from testkit.aws.embedded import Cloud, connect, emptied
from testkit.processes.cli import COMMAND, at, config_file, visionfleet
from testkit.processes.daemons import started
from testkit.processes.ports import free_port

aws = pytest.fixture(emptied, scope="module")


def test_provision_prints_each_line_and_can_be_run_again(aws: Cloud, tmp_path: Path) -> None:
    path = config_file(tmp_path, "name: other\nstorage: {input_bucket: in-x}\n")
    first = visionfleet("provision", "--config", path, env=at(aws))
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines() == [
        "bucket in-x: made, closed to the public",
        "bucket visionfleet-output: was there, now closed to the public",
        "queue other-requests-dead: ready",
        "queue other-requests: ready, 5 tries, then other-requests-dead",
    ]
    second = visionfleet("provision", "--config", path, env=at(aws))
    assert second.stdout.splitlines()[0] == "bucket in-x: was there"


def test_provision_without_aws_is_one_error_line(tmp_path: Path) -> None:
    env = {"VISIONFLEET_AWS__ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    env["AWS_MAX_ATTEMPTS"] = "1"
    done = visionfleet("provision", "--config", config_file(tmp_path), env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("visionfleet: bucket visionfleet-input: Could not connect")
    assert done.stderr.count("\n") == 1


def test_provision_waits_for_aws_that_comes_later(tmp_path: Path) -> None:
    path = config_file(tmp_path)
    env = {"VISIONFLEET_AWS__ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    argv = [*COMMAND, "provision", "--config", path, "--wait", "60"]
    with started(argv, tmp_path / "provision.log", env) as provision:
        serve = [*COMMAND, "embedded-aws", "--config", path]
        with started(serve, tmp_path / "aws.log", env) as process:
            provision.assert_exit(0, 60)
            assert "was there" in provision.output()
            assert "embedded AWS at" in process.output()


def test_embedded_aws_is_provisioned_before_its_port_opens(tmp_path: Path) -> None:
    path, port = config_file(tmp_path), free_port()
    env = {"VISIONFLEET_AWS__ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    with started([*COMMAND, "embedded-aws", "--config", path], tmp_path / "log", env) as process:
        output = process.wait_for_output("embedded AWS at", 60)
        assert output.index("queue visionfleet-requests: ready") < output.index("embedded AWS at")
        status, _ = process.stop()
    assert status == 0


def test_embedded_aws_long_poll_does_not_block_others(tmp_path: Path) -> None:
    """Its lock must be that of the public port: a parked poll gives it free."""
    path, port = config_file(tmp_path), free_port()
    env = {"VISIONFLEET_AWS__ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    with started([*COMMAND, "embedded-aws", "--config", path], tmp_path / "log", env) as process:
        process.wait_for_output("embedded AWS at", 60)
        poll = (
            "import sys, boto3\n"
            "sqs = boto3.client('sqs', endpoint_url=sys.argv[1], region_name='us-east-1',"
            " aws_access_key_id='x', aws_secret_access_key='x')\n"
            "url = sqs.get_queue_url(QueueName='visionfleet-requests')['QueueUrl']\n"
            "print('polling', flush=True)\n"
            "print(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)['Messages'][0]['Body'])\n"
        )
        argv = [sys.executable, "-c", poll, f"http://127.0.0.1:{port}"]
        with started(argv, tmp_path / "poll.log") as parked:
            parked.wait_for_output("polling", 20)
            connect(f"http://127.0.0.1:{port}").send("visionfleet-requests", "hello")
            parked.assert_exit()
            assert "hello" in parked.output()


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "example.org", "[::]"])
def test_embedded_aws_refuses_an_endpoint_elsewhere(tmp_path: Path, host: str) -> None:
    env = {"VISIONFLEET_AWS__ENDPOINT_URL": f"http://{host}:5500"}
    done = visionfleet("embedded-aws", "--config", config_file(tmp_path), env=env)
    assert done.returncode == 1
    assert f"aws.endpoint_url: http://{host}:5500 is not on this machine" in done.stderr


def test_embedded_aws_on_a_port_in_use_is_one_line(tmp_path: Path, aws: Cloud) -> None:
    done = visionfleet("embedded-aws", "--config", config_file(tmp_path), env=aws.environment)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if " INFO " not in line]
    assert f"cannot serve {aws.endpoint_url.removeprefix('http://')}" in line
    assert "in use" in line
