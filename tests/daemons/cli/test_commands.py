"""The admin command as a real process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from testkit import ROOT
from testkit.aws.embedded import Cloud, anew, connect
from testkit.processes.cli import COMMAND, MAIN, at, config_file, visionfleet
from testkit.processes.daemons import PYTHONPATH, started
from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until
from testkit.web.stand_in import Reply, problem, queued, succeeded, web_stand_in


def json_lines(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def test_help_names_every_subcommand() -> None:
    done = visionfleet("--help")
    assert done.returncode == 0
    for name in ("up", "demo", "classify", "status", "config", "provision", "embedded-aws"):
        assert f"\n    {name} " in done.stdout or f"\n    {name}\n" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    heavy = ("boto3", "pydantic", "torch", "rich", "urllib3", "yaml", "moto", "PIL")
    code = (
        "import sys; from visionfleet.cli import main\n"
        "try: main(['--help'])\n"
        f"finally: sys.exit(','.join(m for m in {heavy} if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        check=False,
    )
    assert done.stderr.strip() == b""


@pytest.mark.parametrize(
    "arguments",
    [(), ("nonsense",), ("config",), ("classify",), ("classify", "x", "--parallel", "0")],
)
def test_wrong_arguments_exit_with_2(arguments: Sequence[str]) -> None:
    done = visionfleet(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: visionfleet" in done.stderr


def test_config_check_of_a_good_file(tmp_path: Path) -> None:
    path = config_file(tmp_path, "web: {port: 81}\n")
    done = visionfleet("config", "check", "--config", path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ok: {path}\n", "")


def test_config_check_prints_every_fault_and_exits_with_78(tmp_path: Path) -> None:
    path = config_file(tmp_path, "web: {port: 0}\nlog: {level: LOUD}\nwbe: {}\n")
    for command in (("config", "check"), ("config", "show"), ("provision",), ("up",), ("status",)):
        done = visionfleet(*command, "--config", path)
        assert (done.returncode, done.stdout) == (78, "")
        assert [line.split(": ")[1] for line in done.stderr.splitlines()] == [
            "web.port",
            "log.level",
            "wbe",
        ]


def test_config_comes_from_the_environment_when_not_named(tmp_path: Path) -> None:
    path = config_file(tmp_path)
    done = visionfleet("config", "check", env={"VISIONFLEET_CONFIG": path})
    assert done.stdout == f"ok: {path}\n"
    missing = visionfleet("config", "check", env={"VISIONFLEET_CONFIG": "/nowhere.yaml"})
    assert missing.returncode == 78
    assert missing.stderr == "/nowhere.yaml: cannot be read: No such file or directory\n"


def test_config_show_can_be_loaded_and_says_the_same_again(tmp_path: Path) -> None:
    path = config_file(
        tmp_path,
        "name: 'on'\nweb:\n  plain_reply: '{stem}: {label} # \"é\"'\nmodel: {directory: m}\n"
        "aws: {read_timeout_seconds: 1.0e+2}\n",
    )
    shown = visionfleet("config", "show", "--config", path, env={"VISIONFLEET_WEB__PORT": "81"})
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert f"name: 'on'  # {path}:1" in lines
    assert "  port: 81  # environment VISIONFLEET_WEB__PORT" in lines
    assert "  max_bytes: 20971520  # default" in lines
    assert f"  directory: {tmp_path}/m  # {path}:4" in lines
    again = tmp_path / "again.yaml"
    again.write_text(shown.stdout)
    second = visionfleet("config", "show", "--config", str(again))
    assert second.returncode == 0, second.stderr
    assert yaml.safe_load(second.stdout) == yaml.safe_load(shown.stdout)


def test_config_schema_is_json() -> None:
    done = visionfleet("config", "schema")
    assert json.loads(done.stdout)["properties"]["web"]


def test_a_closed_pipe_is_no_error_to_talk_about() -> None:
    script = '"$0" -c "$1" config show --config "$2" | head -n 1'
    path = str(ROOT / "etc/visionfleet.yaml")
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable, MAIN, path],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        check=False,
    )
    assert done.stdout.startswith(b"name: visionfleet  # ")
    assert done.stderr == b""


@pytest.fixture(scope="module")
def aws(running_aws: Cloud) -> Cloud:
    return anew(running_aws)


def test_provision_prints_each_line_and_can_be_run_again(aws: Cloud, tmp_path: Path) -> None:
    path = config_file(tmp_path, "name: other\nstorage: {input_bucket: in-x}\n")
    first = visionfleet("provision", "--config", path, env=at(aws))
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines() == [
        "bucket in-x: made, closed to the public",
        "bucket visionfleet-output: was there",
        "queue other-requests-dead: ready",
        "queue other-requests: ready, 5 tries, then other-requests-dead",
    ]
    second = visionfleet("provision", "--config", path, env=at(aws))
    assert second.stdout.splitlines()[0] == "bucket in-x: was there"


def test_provision_without_aws_is_one_line(tmp_path: Path) -> None:
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


def test_the_embedded_aws_is_provisioned_before_its_port_opens(tmp_path: Path) -> None:
    path, port = config_file(tmp_path), free_port()
    env = {"VISIONFLEET_AWS__ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    with started([*COMMAND, "embedded-aws", "--config", path], tmp_path / "log", env) as process:
        output = process.wait_for_output("embedded AWS at", 60)
        assert output.index("queue visionfleet-requests: ready") < output.index("embedded AWS at")
        status, _ = process.stop()
    assert status == 0


def test_a_queue_provisioned_so_can_be_polled_without_holding_others_up(tmp_path: Path) -> None:
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
            parked.assert_exit(0, 10)
            assert "hello" in parked.output()


def test_the_embedded_aws_refuses_an_endpoint_elsewhere(tmp_path: Path) -> None:
    env = {"VISIONFLEET_AWS__ENDPOINT_URL": "http://192.0.2.1:5500"}
    done = visionfleet("embedded-aws", "--config", config_file(tmp_path), env=env)
    assert done.returncode == 1
    assert "aws.endpoint_url: http://192.0.2.1:5500 is not on this machine" in done.stderr


def test_status_before_there_is_any(aws: Cloud, tmp_path: Path) -> None:
    aws.s3.delete_object(Bucket="visionfleet-output", Key="fleet/status.json")
    done = visionfleet("status", "--config", config_file(tmp_path), env=at(aws))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Queue: ")
    assert lines[1].strip() == "No scaler has reported yet: is visionfleet-scaler running?"


def test_status_of_a_fleet(aws: Cloud, tmp_path: Path) -> None:
    put_fleet(aws)
    aws.send("visionfleet-requests-dead", "dead")
    config = config_file(tmp_path)
    done = visionfleet("status", "--config", config, env=at(aws))
    assert done.returncode == 0, done.stderr
    assert "Queue: 0 waiting, 0 in flight, 1 dead letters" in done.stdout
    assert "Workers: 1 busy, 1 idle (minimum 0, maximum 4)" in done.stdout
    assert ": launch 1: 5 waiting" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("w-")]
    assert [(row[0], row[1]) for row in rows] == [("w-1", "busy"), ("w-2", "idle")]
    as_json = visionfleet("status", "--json", "--config", config, env=at(aws))
    (document,) = json_lines(as_json.stdout)
    assert document["queue"] == {"visible": 0, "in_flight": 0, "dead_letters": 1}
    workers = document["workers"]
    assert isinstance(workers, list)
    assert [worker["worker"] for worker in workers] == ["w-1", "w-2", "w-3"]


def put_fleet(aws: Cloud) -> None:
    """Put what a scaler and three workers write, and a report that cannot be read."""
    status = {"v": 1, "at": 1e9, "visible": 5, "in_flight": 2, "minimum": 0, "maximum": 4}
    status |= {"states": {"idle": 1, "busy": 1}, "decision": "launch 1: 5 waiting"}
    put(aws, "fleet/status.json", {**status, "decided_at": 1e9})
    for name, state in (("w-1", "busy"), ("w-2", "idle"), ("w-3", "stopped")):
        times = {"since": 1e9, "reported_at": 1e9, "started_at": 1e9}
        report = {"v": 1, "worker": name, "state": state, "version": "0", "host": "h"}
        put(aws, f"fleet/workers/{name}.json", report | times)
    put(aws, "fleet/workers/odd.json", {"v": 2})


def put(aws: Cloud, key: str, document: object) -> None:
    body = json.dumps(document).encode()
    aws.s3.put_object(Bucket="visionfleet-output", Key=key, Body=body)


def test_status_survives_rubbish_in_s3(aws: Cloud, tmp_path: Path) -> None:
    for key in ("fleet/status.json", "fleet/workers/w.json"):
        aws.s3.put_object(Bucket="visionfleet-output", Key=key, Body=b"\xff\xfe rubbish")
    done = visionfleet("status", "--config", config_file(tmp_path), env=at(aws))
    for key in ("fleet/status.json", "fleet/workers/w.json"):
        aws.s3.delete_object(Bucket="visionfleet-output", Key=key)
    assert done.returncode == 0
    assert "No scaler has reported yet" in done.stdout
    assert "Traceback" not in done.stderr


def test_status_where_nothing_is_provisioned_names_the_command(aws: Cloud, tmp_path: Path) -> None:
    path = config_file(tmp_path, "name: nobody\n")
    done = visionfleet("status", "--config", path, env=at(aws))
    assert done.returncode == 1
    assert "`visionfleet provision` makes it" in done.stderr


def test_watching_ends_with_ctrl_c_and_130(aws: Cloud, tmp_path: Path) -> None:
    argv = [*COMMAND, "status", "--watch", "--json", "--interval", "0.2"]
    argv += ["--config", config_file(tmp_path)]
    with started(argv, tmp_path / "log", at(aws)) as process:
        process.wait_for_output('"queue"', 30)
        process.signal(signal.SIGINT)
        process.assert_exit(130)
        assert "Traceback" not in process.output()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a cat.jpg"
    path.write_bytes(b"the bytes of a cat")
    return path


def test_classify_uploads_the_bytes_with_their_name(image: Path) -> None:
    with web_stand_in(succeeded("cat")) as web:
        done = visionfleet("classify", str(image), "--url", web.url, "--top", "3")
    assert done.returncode == 0, done.stderr
    (call,) = web.calls
    assert (call.method, call.file, call.data) == ("POST", "a cat.jpg", b"the bytes of a cat")
    assert call.path.startswith("/v1/classify?wait=")
    assert call.path.endswith("&top=3")
    head, row = done.stdout.splitlines()
    assert head.split() == ["file", "label", "score", "seconds"]
    assert row.removeprefix(str(image)).split()[:2] == ["cat", "0.900"]


def test_classify_as_json_lines_from_standard_input() -> None:
    with web_stand_in(succeeded("dog", job="j7")) as web:
        done = visionfleet("classify", "-", "--json", "--url", web.url + "/", stdin=b"raw")
    (line,) = json_lines(done.stdout)
    assert (line["file"], line["label"], line["job"]) == ("stdin", "dog", "j7")
    assert (web.calls[0].file, web.calls[0].data) == ("stdin", b"raw")


def test_a_folder_is_searched_and_one_failure_makes_the_status_1(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "notes.txt", "c.gif"):
        (tmp_path / name).write_bytes(name.encode())
    refusal = problem(415, "not_an_image", "the file is not an image")
    with web_stand_in(succeeded("cat"), refusal, succeeded("cat")) as web:
        done = visionfleet("classify", str(tmp_path), "--url", web.url, "--parallel", "1")
    assert done.returncode == 1
    assert [call.file for call in web.calls] == ["a.jpg", "b.png", "c.gif"]
    assert "415 Unsupported Media Type: the file is not an image" in done.stdout.splitlines()[2]
    assert done.stdout.count("cat") == 2


def test_202_is_followed_to_the_answer(image: Path) -> None:
    with web_stand_in(queued("j5"), queued("j5"), succeeded("cat", "j5")) as web:
        done = visionfleet("classify", str(image), "--url", web.url, "--json")
    assert done.returncode == 0, done.stdout
    assert [call.method for call in web.calls] == ["POST", "GET", "GET"]
    assert all(call.path.startswith("/v1/jobs/j5?wait=") for call in web.calls[1:])


def test_the_wait_has_an_end_that_tells_where_the_answer_will_be(image: Path) -> None:
    with web_stand_in(queued("j5")) as web:
        done = visionfleet("classify", str(image), "--url", web.url, "--json", "--wait", "0.3")
    (line,) = json_lines(done.stdout)
    assert done.returncode == 1
    assert (line["code"], line["job"]) == ("late", "j5")
    assert f"{web.url}/v1/jobs/j5" in str(line["problem"])


def test_busy_servers_are_asked_again_when_they_say(image: Path) -> None:
    busy = problem(503, "try_later", "no", Retry_After="0")
    many = problem(429, "too_many", "no", Retry_After="1")
    with web_stand_in(busy, many, queued("j5"), busy, succeeded("cat")) as web:
        done = visionfleet("classify", str(image), "--url", web.url, "--json")
    assert done.returncode == 0, done.stdout
    assert [call.method for call in web.calls] == ["POST", "POST", "POST", "GET", "GET"]
    (line,) = json_lines(done.stdout)
    assert float(str(line["seconds"])) >= 1.0


def test_a_server_that_stays_busy_is_a_problem(image: Path) -> None:
    busy = problem(503, "try_later", "the queue does not answer", Retry_After="60")
    with web_stand_in(busy) as web:
        done = visionfleet("classify", str(image), "--url", web.url, "--json", "--wait", "5")
    (line,) = json_lines(done.stdout)
    assert (done.returncode, line["code"], len(web.calls)) == (1, "try_later", 1)
    assert line["problem"] == "503 Service Unavailable: the queue does not answer"


def test_a_job_that_was_accepted_outlives_a_broken_connection(image: Path) -> None:
    with web_stand_in(queued("j5"), Reply(0, drop=True), succeeded("cat")) as web:
        done = visionfleet("classify", str(image), "--url", web.url, "--json")
    assert done.returncode == 0, done.stdout
    assert [call.method for call in web.calls] == ["POST", "GET", "GET"]


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Reply(500, "<html>"), "500 Internal Server Error"),
        (Reply(200, "<html>"), "200 OK: the answer is no JSON"),
        (Reply(200, [1]), "200 OK: the answer is no JSON"),
        (Reply(404, {"title": "Not Found"}), "404 Not Found: Not Found"),
        (Reply(200, {"status": "failed", "code": "c", "reason": "it broke"}), "it broke"),
        (Reply(0, drop=True), "the connection broke: "),
    ],
)
def test_odd_answers_are_problems(image: Path, reply: Reply, sentence: str) -> None:
    with web_stand_in(reply) as web:
        done = visionfleet("classify", str(image), "--url", web.url, "--json")
    (line,) = json_lines(done.stdout)
    assert done.returncode == 1
    assert str(line["problem"]).startswith(sentence)
    assert "Traceback" not in done.stderr


def test_what_cannot_be_read_or_reached_is_a_problem(image: Path, tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    done = visionfleet("classify", str(tmp_path / "no.jpg"), str(image), "--url", nowhere, "--json")
    problems = {Path(str(line["file"])).name: line["problem"] for line in json_lines(done.stdout)}
    assert done.returncode == 1
    assert problems == {
        "no.jpg": "No such file or directory",
        "a cat.jpg": "nothing answers there: is visionfleet running?",
    }


def test_an_empty_folder_is_a_problem(tmp_path: Path) -> None:
    done = visionfleet("classify", str(tmp_path))
    assert done.returncode == 1
    assert "no images there" in done.stdout


def test_ctrl_c_does_not_wait_for_answers(image: Path, tmp_path: Path) -> None:
    argv = [*COMMAND, "classify", str(image), "--url"]
    busy = problem(503, "try_later", "no", Retry_After="100")
    with web_stand_in(busy) as web, started([*argv, web.url], tmp_path / "log") as process:
        wait_until(lambda: web.calls, 20, process.tail)
        process.signal(signal.SIGINT)
        process.assert_exit(130, 5)
        assert "Traceback" not in process.output()
