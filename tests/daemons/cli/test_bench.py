"""`visionfleet bench` as a real process, with a real model."""

from pathlib import Path

import pytest

from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.cli import config_file, visionfleet
from visionfleet.config import load

pytestmark = pytest.mark.needs_torch


def model(folder: Path) -> dict[str, str]:
    """A model, and photos for it."""
    (folder / "photos").mkdir()
    for number in range(3):
        (folder / f"photos/{number}.png").write_bytes(encoded(numbered(number)))
    pictures, labels = [numbered(i) for i in range(5)], [f"label-{i}" for i in range(5)]
    found = table_model(folder, pictures, labels)
    return found | {"CACHE_DIRECTORY": str(folder / "cache"), "VISIONFLEET_MODEL__RUNTIME": "torch"}


def test_bench_writes_settings_that_are_accepted(tmp_path: Path) -> None:
    path, out = config_file(tmp_path), tmp_path / "conf.d/bench.yaml"
    out.parent.mkdir()
    photos = ("--images", str(tmp_path / "photos"))
    quick = ("--seconds", "0.2", "--batch", "2", "--latency", "60")
    files = ("--output", str(out), "--plot", str(tmp_path / "p.png"))
    done = visionfleet("bench", "--config", path, *photos, *quick, *files, env=model(tmp_path))
    assert done.returncode == 0, done.stderr
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    (best,) = (line.split() for line in done.stdout.splitlines() if line.rstrip().endswith("best"))
    workers, threads, batch, prefetch = map(int, best[:4])
    config = load(Path(path), {}).config
    assert config.model.threads == config.classifier.cpus_per_worker == threads
    assert config.classifier.batch_size == batch
    assert config.classifier.prefetch >= prefetch
    assert workers >= 1
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
