"""What every command says of arguments that cannot be right, and of files it cannot use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from visionfleet.auth import api_keys
from visionfleet.cli import EXIT_BROKEN_PIPE, main
from visionfleet.errors import BadKeys


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit status, and the last line of stderr."""
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("classify", ""),
        ("evaluate", ""),
        ("simulate", ""),
        ("load", "http://127.0.0.1:1", "--images", ""),
        ("model", "import", ""),
        ("model", "import", "resnet18", "--labels", ""),
        ("model", "inspect", ""),
        ("model", "teach", ""),
        ("keys", "list", "--file", ""),
        ("status", "--config", ""),
        ("demo", "--images", ""),
    ],
)
def test_empty_path_is_not_this_folder(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, line = said(capsys, *arguments)
    assert code == 2
    assert line.endswith("expected a path, got an empty text")


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "ftp://x", "http://", "http://[::1", "http://127.0.0.1:99999", "http://a b"],
)
@pytest.mark.parametrize("command", [("classify", "x.jpg", "--url"), ("load",)])
def test_wrong_url_is_refused_before_work(
    command: tuple[str, ...], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, line = said(capsys, *command, url)
    assert code == 2
    assert line.endswith("expected a URL such as http://127.0.0.1:8080")


@pytest.mark.parametrize(
    ("file", "reason"),
    [("nowhere/x.json", "there is no folder {}/nowhere"), ("folder", "it is a folder")],
)
@pytest.mark.parametrize("option", ["--json", "--plot"])
@pytest.mark.parametrize("command", ["simulate", "plan"])
def test_output_that_cannot_be_written_is_said_first(
    command: str,
    option: str,
    file: str,
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder").mkdir()
    code, line = said(capsys, command, "no.csv", option, str(tmp_path / file))
    assert (code, line) == (1, f"visionfleet: {tmp_path / file}: {reason.format(tmp_path)}")


@pytest.mark.parametrize(
    "arguments",
    [("model", "build"), ("model", "import", "resnet18"), ("model", "teach", "nowhere")],
    ids=["build", "import", "teach"],
)
def test_folder_that_cannot_take_a_model_is_said_first(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    code, line = said(capsys, *arguments, "--into", str(tmp_path / "file"))
    assert (code, line) == (1, f"visionfleet: {tmp_path / 'file'}: File exists")


@pytest.mark.parametrize(
    ("arguments", "content", "reason"),
    [
        (("keys", "list", "--file"), None, "No such file or directory"),
        (("keys", "list", "--file"), b"\xff", "it is not UTF-8"),
        (("simulate",), None, "No such file or directory"),
        (("simulate",), b"\xff", "it is not UTF-8"),
        (("plan",), b"\xff", "it is not UTF-8"),
        (("evaluate",), None, "No such file or directory"),
        (("evaluate",), b"x", "neither a folder nor a ZIP file"),
        (("load", "http://127.0.0.1:1", "--images"), None, "No such file or directory"),
        (("demo", "--images"), None, "No such file or directory"),
        (("load", "http://127.0.0.1:1", "--key-file"), None, "No such file or directory"),
        (("load", "http://127.0.0.1:1", "--key-file"), b"\xff", "it is not UTF-8"),
        (("load", "http://127.0.0.1:1", "--key-file"), b"\n", "it is empty"),
    ],
)
def test_unusable_file_is_named_once_with_the_reason(
    arguments: tuple[str, ...],
    content: bytes | None,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("VISIONFLEET_CONFIG", str(tmp_path / "visionfleet.yaml"))
    (tmp_path / "visionfleet.yaml").touch()
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    assert said(capsys, *arguments, str(file)) == (1, f"visionfleet: {file}: {reason}")


@pytest.mark.parametrize("command", [("build",), ("import", "resnet18")])
def test_folder_of_a_model_is_tried_first(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    code, line = said(capsys, "model", *command, "--into", str(tmp_path / "file" / "below"))
    assert (code, line) == (1, f"visionfleet: {tmp_path}/file/below: Not a directory")


@pytest.mark.parametrize(
    ("option", "values", "reason"),
    [
        ("--crop", ["0"], "expected an integer from 1 to 8192"),
        ("--std", ["0", "0", "0"], "expected values of 0 to 1, not to 255, from 0.001 to 1"),
        ("--mean", ["123", "117", "104"], "expected values of 0 to 1, not to 255, from 0 to 1"),
    ],
)
def test_preprocessing_that_no_model_has_is_refused(
    option: str, values: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, line = said(capsys, "model", "import", "resnet18", option, *values)
    assert code == 2
    assert line.endswith(f"argument {option}: {reason}")


def test_folder_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "nowhere" / "keys"
    code, line = said(capsys, "keys", "add", "ann", "--file", str(file))
    assert (code, line) == (1, f"visionfleet: {file}: No such file or directory")


@pytest.mark.parametrize("name", ["", "a b", "x" * 65])
def test_wrong_name_of_a_key_says_what_is_right(name: str) -> None:
    with pytest.raises(BadKeys, match="a name has 1 to 64 letters"):
        api_keys.make(name, os.urandom(64), 0.0, None)


def test_bounds_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    _, line = said(capsys, "keys", "add", "ann", "--per-second", "0")
    assert line.endswith("expected requests per second from 0.000001 to 1000000")


@pytest.mark.parametrize("arguments", [("config", "schema"), ("completion", "bash")])
def test_full_disk_is_a_sentence(arguments: tuple[str, ...]) -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; from visionfleet.cli import main; sys.exit(main())",
    ]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*command, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert (ended.returncode, ended.stderr) == (1, "visionfleet: No space left on device\n")


@pytest.mark.parametrize(("output", "status"), [(">&-", 0), ("| true", EXIT_BROKEN_PIPE)])
def test_closed_output_is_no_traceback(output: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("minute,count\n0,5\n")
    (tmp_path / "visionfleet.yaml").touch()
    command = "from visionfleet.cli import main as m; raise SystemExit(m())"
    simulate = '"$0" -c "$1" simulate trace.csv --config visionfleet.yaml'
    script = f"{simulate} {output}; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        ["bash", "-c", script, sys.executable, command],
        check=False,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (status, "")
