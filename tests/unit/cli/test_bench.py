"""`visionfleet bench`: what it prints, of trials that others have made."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from visionfleet.cli import bench, main
from visionfleet.measurement.host_trials import HostSettings, Trial

TRIALS = [
    Trial(HostSettings(1, 64, 32, 128), 1234.5, 1.234, 2.345),
    Trial(HostSettings(64, 1, 4, 8), 1200.0, 0.2, 0.4),
]


@pytest.fixture(autouse=True)
def tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def trials(*_: Any) -> Iterator[Trial]:
        yield from TRIALS

    monkeypatch.setattr(bench, "_tried", trials)


def run(folder: Path, *options: str) -> int:
    config = folder / "visionfleet.yaml"
    config.write_text("")
    return main(["bench", "--config", str(config), *options])


def test_table_fits_a_terminal_and_yaml_follows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path) == 0
    table, text = capsys.readouterr().out.split("\n\n")
    assert max(map(len, table.splitlines())) <= 80
    assert [line.endswith("best") for line in table.splitlines()] == [False, False, True]
    assert yaml.safe_load(text) == {
        "model": {"threads": 1},
        # 1200 images/s of 64 workers, and each image takes S3 a tenth of a second: two more.
        "classifier": {"cpus_per_worker": 1, "batch_size": 4, "prefetch": 10},
    }


def test_looser_latency_has_another_best_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--latency", "3", "--json", "--s3-seconds", "0") == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert settings["classifier"] == {"cpus_per_worker": 1, "batch_size": 4, "prefetch": 8}


def test_latency_that_no_trial_keeps_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--latency", "0.1", "--output", str(tmp_path / "out.yaml")) == 1
    told = capsys.readouterr()
    assert "no trial kept p95 within 0.1 s; the least was 0.400 s" in told.err
    assert "best" not in told.out
    assert not (tmp_path / "out.yaml").exists()


def test_no_images_are_told_before_any_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert run(tmp_path, "--images", str(tmp_path / "empty")) == 1
    assert "there are no images in" in capsys.readouterr().err
