"""`visionfleet classify` as a real process."""

import json
import signal
from pathlib import Path

import pytest

from testkit.processes.cli import COMMAND, visionfleet
from testkit.processes.daemons import started
from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until
from testkit.web.stand_in import Reply, problem, queued, succeeded, web_stand_in


def json_lines(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


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
    assert call.path.startswith("/v1/classify?top=3&wait=")
    head, row = done.stdout.splitlines()
    assert head.split() == ["file", "label", "score", "seconds"]
    assert row.removeprefix(str(image)).split()[:2] == ["cat", "0.900"]


def test_classify_reads_stdin_and_prints_json_lines() -> None:
    with web_stand_in(succeeded("dog", job="j7")) as web:
        done = visionfleet("classify", "-", "--json", "--url", web.url + "/", stdin=b"raw")
    (line,) = json_lines(done.stdout)
    assert (line["file"], line["label"], line["job"]) == ("stdin", "dog", "j7")
    assert (web.calls[0].file, web.calls[0].data) == ("stdin", b"raw")


def test_classify_a_folder_with_one_failure_exits_with_1(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "notes.txt", "c.gif"):
        (tmp_path / name).write_bytes(name.encode())
    refusal = problem(415, "not_an_image", "the file is not an image")
    with web_stand_in(succeeded("cat"), refusal, succeeded("cat")) as web:
        done = visionfleet("classify", str(tmp_path), "--url", web.url, "--parallel", "1")
    assert done.returncode == 1
    assert [call.file for call in web.calls] == ["a.jpg", "b.png", "c.gif"]
    assert "415 Unsupported Media Type: the file is not an image" in done.stdout.splitlines()[2]
    assert done.stdout.count("cat") == 2


def test_classify_follows_202_to_the_result(image: Path) -> None:
    with web_stand_in(queued("j5"), queued("j5"), succeeded("cat", "j5")) as web:
        done = visionfleet("classify", str(image), "--url", web.url, "--json")
    assert done.returncode == 0, done.stdout
    assert [call.method for call in web.calls] == ["POST", "GET", "GET"]
    assert all(call.path.startswith("/v1/jobs/j5?wait=") for call in web.calls[1:])


def test_classify_timeout_names_the_job_address(image: Path) -> None:
    with web_stand_in(queued("j5")) as web:
        done = visionfleet("classify", str(image), "--url", web.url, "--json", "--wait", "0.3")
    (line,) = json_lines(done.stdout)
    assert done.returncode == 1
    assert (line["code"], line["job"]) == ("late", "j5")
    assert f"{web.url}/v1/jobs/j5" in str(line["problem"])


def test_classify_retries_after_retry_after(image: Path) -> None:
    busy = problem(503, "try_later", "no", Retry_After="0")
    many = problem(429, "too_many", "no", Retry_After="1")
    with web_stand_in(busy, many, queued("j5"), busy, succeeded("cat")) as web:
        done = visionfleet("classify", str(image), "--url", web.url, "--json")
    assert done.returncode == 0, done.stdout
    assert [call.method for call in web.calls] == ["POST", "POST", "POST", "GET", "GET"]
    (line,) = json_lines(done.stdout)
    assert float(str(line["seconds"])) >= 1.0


def test_classify_fails_when_the_server_stays_busy(image: Path) -> None:
    busy = problem(503, "try_later", "the queue does not answer", Retry_After="60")
    with web_stand_in(busy) as web:
        done = visionfleet("classify", str(image), "--url", web.url, "--json", "--wait", "5")
    (line,) = json_lines(done.stdout)
    assert (done.returncode, line["code"], len(web.calls)) == (1, "try_later", 1)
    assert line["problem"] == "503 Service Unavailable: the queue does not answer"


def test_classify_follows_its_job_after_a_broken_connection(image: Path) -> None:
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
def test_classify_reports_odd_answers(image: Path, reply: Reply, sentence: str) -> None:
    with web_stand_in(reply) as web:
        done = visionfleet("classify", str(image), "--url", web.url, "--json")
    (line,) = json_lines(done.stdout)
    assert done.returncode == 1
    assert str(line["problem"]).startswith(sentence)
    assert "Traceback" not in done.stderr


def test_classify_reports_unreadable_files_and_servers(image: Path, tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    done = visionfleet("classify", str(tmp_path / "no.jpg"), str(image), "--url", nowhere, "--json")
    problems = {Path(str(line["file"])).name: line["problem"] for line in json_lines(done.stdout)}
    assert done.returncode == 1
    assert problems == {
        "no.jpg": "No such file or directory",
        "a cat.jpg": "nothing answers there: is visionfleet running?",
    }


def test_classify_reports_an_empty_folder(tmp_path: Path) -> None:
    done = visionfleet("classify", str(tmp_path))
    assert done.returncode == 1
    assert "no images there" in done.stdout


def test_classify_ends_at_once_on_ctrl_c(image: Path, tmp_path: Path) -> None:
    argv = [*COMMAND, "classify", str(image), "--url"]
    busy = problem(503, "try_later", "no", Retry_After="100")
    with web_stand_in(busy) as web, started([*argv, web.url], tmp_path / "log") as process:
        wait_until(lambda: web.calls, 20, process.tail)
        process.signal(signal.SIGINT)
        process.assert_exit(130)
        assert "Traceback" not in process.output()
