"""Files, folders and URLs in arguments are refused before any work."""

from pathlib import Path

import pytest

from visionfleet.cli import main

REFUSED = {
    "bench, no folder": ("bench --output {at}/none/a.yaml", "there is no folder {at}/none"),
    "bench, a folder": ("bench --output {at}", "{at} is a folder, not a file"),
    "bench, no plot": ("bench --plot {at}/a.txt", "expected a name that ends in .png, .svg, .pdf"),
    "load, no folder": (
        "load http://127.0.0.1:1 --plot {at}/none/a.png",
        "there is no folder {at}/none",
    ),
    "plan": ("plan trace.csv --json {at}/none/a", "there is no folder {at}/none"),
    "simulate": ("simulate trace.csv --json {at}/file/a", "there is no folder {at}/file"),
    "build into a file": ("model build --into {at}/file", "{at}/file is not a folder"),
    "build below a file": ("model build --into {at}/file/a/b", "{at}/file is not a folder"),
    "import into a file": ("model import resnet18 --into {at}/file", "{at}/file is not a folder"),
    "teach into a file": ("model teach photos --into {at}/file", "{at}/file is not a folder"),
    "a URL without scheme": ("load 127.0.0.1:8080", "expected http://HOST:PORT or https://HOST"),
    "another scheme": ("load ftp://a", "expected http://HOST:PORT or https://HOST"),
    "no host": ("classify a.jpg --url http://", "expected http://HOST:PORT or https://HOST"),
    "no port": ("classify a.jpg --url http://a:b", "expected http://HOST:PORT or https://HOST"),
}


@pytest.mark.parametrize(("words", "reason"), REFUSED.values(), ids=REFUSED)
def test_unusable_place_is_refused_at_once(
    words: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as ended:
        main([word.format(at=tmp_path) for word in words.split()])
    assert ended.value.code == 2
    assert reason.format(at=tmp_path) in capsys.readouterr().err
