"""`visionfleet evaluate` as a real process."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered

VISIONFLEET = str(Path(sys.executable).with_name("visionfleet"))
CLASSES = 5


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    pictures = [numbered(i) for i in range(CLASSES)]
    labels = [f"class {i}, also called {i}" for i in range(CLASSES)]
    config = tmp_path / "visionfleet.yaml"
    config.write_text("")
    model = table_model(tmp_path, pictures, labels)
    return {**os.environ, **model, "VISIONFLEET_CONFIG": str(config)}


def archive(path: Path, folders: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for number, folder in enumerate(folders):
            packed.writestr(f"{folder}/{number}.png", encoded(numbered(number)))
    return path


def evaluate(
    environment: dict[str, str], data: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    command = [VISIONFLEET, "evaluate", str(data), *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def test_evaluate_counts_by_folder(tmp_path: Path, environment: dict[str, str]) -> None:
    """Four of five pictures lie in their own class; the last one lies in another's."""
    data = archive(tmp_path / "data.zip", ["class_0", "class_1", "2", "003", "class 0"])
    with zipfile.ZipFile(data, "a") as packed:
        packed.writestr("class_1/broken.png", b"no image")
    done = evaluate(environment, data, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["images"], found["unreadable"]) == (5, 1)
    assert (found["top1"], found["top5"]) == (0.8, 1.0)
    assert found["per_class"]["class 0"] == 0.0
    assert found["images_per_second"] > 0
    assert found["cpu_seconds_per_image"] > 0
    assert 0 <= found["expected_calibration_error"] <= 1
    assert found["confusion"]["class 0, also called 0"] == {
        "class 0, also called 0": 1,
        "class 4, also called 4": 1,
    }


def test_evaluate_proposes_settings_that_calibrate(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Every answer is right, so the lowest temperature is the best one."""
    environment["VISIONFLEET_MODEL__TEMPERATURE"] = "20"
    environment["VISIONFLEET_MODEL__UNKNOWN_BELOW"] = "1"
    data = archive(tmp_path / "data.zip", ["class_0", "class_1", "2"])
    done = evaluate(environment, data, "--json", "--calibrate")
    found = json.loads(done.stdout)
    assert (found["top1"], found["unknown"], found["unknown_below"]) == (1.0, 1.0, 1.0)
    assert found["calibration"]["temperature"] == pytest.approx(1.0, abs=0.01)
    assert found["calibration"]["unknown_below"] > found["mean_score"]


def test_evaluate_reports_a_folder_that_is_no_class(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    done = evaluate(environment, archive(tmp_path / "data.zip", ["cow"]))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("no label of the model: cow")
    assert "Traceback" not in done.stderr
