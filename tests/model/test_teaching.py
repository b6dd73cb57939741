"""Other classes for a network, from a few photos: what is learnt, told, written and served."""

import hashlib
import io
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from testkit.aws.embedded import BUCKETS, Cloud
from testkit.images.model_files import saved
from testkit.processes.cli import visionfleet
from visionfleet.config import Config, load
from visionfleet.errors import BadModel
from visionfleet.evaluation.calibration import expected_calibration_error, softmax
from visionfleet.model.choice import Asked, Chosen
from visionfleet.model.efficientnet_lite import EfficientNetLite0
from visionfleet.model.open import find_or_make, open_model
from visionfleet.model.source import Source
from visionfleet.model.teaching import head, photos, report, serving
from visionfleet.model.teaching.photos import Photo
from visionfleet.model.teaching.teach import Taught, runtime_of, teach

pytestmark = pytest.mark.needs_torch

COLOURS = {"amber": (250, 180, 20), "jade": (20, 160, 100), "plum": (130, 30, 110)}


def picture(label: str, random: Random) -> bytes:
    """A noisy patch of about one colour."""
    noise = np.random.default_rng(random.randrange(1 << 30)).normal(0, 25, (40, 48, 3))
    pixels = np.clip(np.array(COLOURS[label]) + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def drawn(count: int, seed: int = 1) -> list[Photo]:
    random = Random(seed)
    return [
        Photo(f"{label}/{number}.png", label, picture(label, random))
        for label in COLOURS
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with a small network of random weights."""
    made = tmp_path_factory.mktemp("teach")
    torch.manual_seed(4)
    data = saved(EfficientNetLite0(3).state_dict())
    (made / "base.pt").write_bytes(data)
    (made / "base.txt").write_text("a\nb\nc\n")
    model = {"name": "base", "path": "base.pt", "labels": "base.txt", "resize": 36, "crop": 32}
    model |= {"sha256": hashlib.sha256(data).hexdigest(), "architecture": "efficientnet_lite0"}
    model |= {"precision": "float32", "runtime": "torch", "threads": 1}
    (made / "visionfleet.yaml").write_text(yaml.safe_dump({"model": model}))
    return made


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return os.environ | {"CACHE_DIRECTORY": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="module")
def taught(folder: Path, environment: Any) -> Taught:
    config = load(folder / "visionfleet.yaml", {}).config
    return teach(config, drawn(8), environment)


def test_report_tells_what_folds_say(taught: Taught) -> None:
    found = taught.report
    assert (found.photos, found.classes) == (24, 3)
    assert found.accuracy > 0.9
    assert [(label, count) for label, count, _ in found.by_class] == [(c, 8) for c in COLOURS]
    assert [size for size, _ in found.learning.measured] == [2, 3, 6]
    assert [size for size, _ in found.learning.expected] == [12, 24]
    assert "24 photos of 3 classes" in report.lines(found)[0]


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_taught_model_is_served_by_both_runtimes(
    taught: Taught, folder: Path, tmp_path: Path, environment: Any, runtime: str
) -> None:
    model, labels = serving.written(taught, "colours", tmp_path)
    settings = serving.settings_of(taught, "colours", str(model), str(labels))
    section = settings | {"runtime": runtime, "precision": "float32", "threads": 1}
    config = Config.model_validate({"model": section})
    opened = open_model(config, environment)
    assert opened.labels == tuple(COLOURS)
    assert (opened.preprocessing.resize, opened.preprocessing.crop) == (36, 32)
    assert opened.temperature != 1.0
    seen, _ = photos.seen_by(opened, drawn(10, seed=9), config.images, 1)
    scores = opened.scores_and_features([np.zeros((32, 32, 3), np.uint8)])[0]
    assert scores.shape == (1, 3)
    weights = torch.load(model, weights_only=True)["state_dict"]
    found = seen.features @ weights["classify.weight"].numpy().T + weights["classify.bias"].numpy()
    assert (found.argmax(axis=1) == seen.targets).mean() > 0.9


def test_what_cannot_be_learnt_from_is_told(folder: Path, environment: Any) -> None:
    some = drawn(6)
    broken = Photo("jade/broken.jpg", "jade", b"no image")
    again = Photo("jade/again.png", "jade", some[6].data)
    both = [Photo(f"{label}/both.png", label, picture("plum", Random(7))) for label in COLOURS]
    config = load(folder / "visionfleet.yaml", {}).config
    left = teach(config, [*some, broken, again, *both], environment).report.left_out
    assert [name for name, _ in left.unreadable] == ["jade/broken.jpg"]
    assert left.repeated == ("jade/again.png",)
    assert left.contradictory == (tuple(photo.name for photo in both),)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (drawn(4), "amber: 4 photos that can be used; it takes 5"),
        ([p for p in drawn(5) if p.label == "jade"], "2 classes at least: there is jade"),
    ],
    ids=["four", "one class"],
)
def test_too_few_photos_are_refused(
    folder: Path, environment: Any, given: list[Photo], reason: str
) -> None:
    config = load(folder / "visionfleet.yaml", {}).config
    with pytest.raises(BadModel, match=reason):
        teach(config, given, environment)


def test_folder_without_classes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(BadModel, match="no photos in folders named by class"):
        list(photos.of_folder(tmp_path))


def test_command_writes_model_labels_and_settings(
    folder: Path, tmp_path: Path, environment: Mapping[str, str]
) -> None:
    for photo in drawn(5):
        path = tmp_path / "photos" / photo.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo.data)
    options = ("--config", str(folder / "visionfleet.yaml"), "--into", str(tmp_path), "--json")
    done = visionfleet("model", "teach", str(tmp_path / "photos"), *options, env=dict(environment))
    assert done.returncode == 0, done.stderr
    settings = json.loads(done.stdout)["model"]
    Config.model_validate({"model": settings})
    Source().read_checked(settings["path"], "model.path", settings["sha256"])
    assert json.loads(Path(settings["labels"]).read_text()) == list(COLOURS)


def reported(aws: Cloud, worker: str, state: str, age: float) -> None:
    report = {"v": 1, "worker": worker, "state": state, "since": 0.0, "started_at": 0.0}
    report |= {"reported_at": time.time() - age, "version": "1", "host": "h"}
    key = f"fleet/workers/{worker}.json"
    aws.s3.put_object(Bucket=BUCKETS[1], Key=key, Body=json.dumps(report).encode())


def test_serve_shares_sets_and_drains(
    taught: Taught,
    folder: Path,
    tmp_path: Path,
    aws: Cloud,
    environment: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", environment["CACHE_DIRECTORY"])
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    for name, state, age in [("a", "idle", 1), ("b", "busy", 900), ("c", "drained", 1)]:
        reported(aws, name, state, age)
    file = tmp_path / "visionfleet.yaml"
    before = yaml.safe_load((folder / "visionfleet.yaml").read_text())["model"]
    places = {name: str(folder / before[name]) for name in ("path", "labels")}
    file.write_text(yaml.safe_dump({"model": {**before, **places, "temperature": 3.0}}))
    config = load(file, os.environ).config
    settings = serving.shared(config, taught, "colours")
    told = serving.served(config, settings, taught.runtime, file)
    assert told[1] == "asked to drain: a"
    assert aws.keys("fleet/drain/") == ["fleet/drain/a"]
    fleet = load(file, os.environ).config
    assert (fleet.model.name, fleet.model.temperature) == ("colours", None)
    model = find_or_make(fleet, environment)
    assert model.manifest.labels == tuple(COLOURS)
    assert len(aws.keys("models/artefacts/")) == 1


def clouds(count: int, apart: float) -> tuple[Any, Any]:
    """Points of three classes around their centres, in 20 dimensions."""
    random = np.random.default_rng(5)
    targets = np.repeat(np.arange(3), count)
    centres = apart * random.normal(size=(3, 20))
    return (centres[targets] + random.normal(size=(3 * count, 20))).astype(np.float32), targets


def test_scores_of_folds_are_calibrated() -> None:
    features, targets = clouds(100, apart=0.45)
    given = head.material(features, [], targets, 3)
    judged = head.judge(given, np.arange(300))
    found = softmax(judged.scores / judged.temperature)
    right = found.argmax(axis=1) == targets
    assert 0.6 < right.mean() < 0.97
    assert expected_calibration_error(found.max(axis=1), right) < 0.09


def test_layer_is_that_of_the_features_as_they_are() -> None:
    features, targets = clouds(20, apart=2.0)
    made = head.fit(head.material(features, [features], targets, 3), 1e-3)
    assert ((features @ made.weights.T + made.bias).argmax(axis=1) == targets).all()


def test_photos_of_one_scene_are_in_one_fold() -> None:
    features, targets = clouds(10, apart=1.0)
    features[1] = features[0] * 1.001
    groups = head.groups_of(features, targets)
    assert groups[0] == groups[1]
    for fold in head.folds_of(targets, groups):
        assert (0 in fold) == (1 in fold)
    assert sorted(np.concatenate(list(head.folds_of(targets, groups)))) == list(range(30))


def test_taught_model_runs_as_its_base_but_not_in_int8() -> None:
    assert runtime_of(Chosen("openvino", "bfloat16")) == Asked("openvino", "bfloat16")
    assert runtime_of(Chosen("openvino", "int8")) == Asked("auto", "auto")
