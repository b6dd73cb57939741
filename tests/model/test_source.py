"""Model files in S3: fetched, checked, cached, and what happens when they are not there."""

from pathlib import Path

import pytest

from testkit.images.model_files import LABELS, at_work, choice, colours, torchscript
from visionfleet.config.classifier import ModelSection
from visionfleet.errors import BadModel, NotFound, TryLater
from visionfleet.model.loading import load
from visionfleet.model.source import Source, cache_folder

pytestmark = pytest.mark.needs_torch


# S3


class Bucket:
    """Objects by (bucket, key), and a count of the reads."""

    def __init__(self, objects: dict[tuple[str, str], bytes]) -> None:
        self.objects = objects
        self.reads: list[tuple[str, str]] = []

    def fetch(self, bucket: str, key: str) -> bytes:
        self.reads.append((bucket, key))
        try:
            return self.objects[bucket, key]
        except KeyError:
            raise NotFound(f"get {key}: NoSuchKey") from None


def remote(folder: Path, data: bytes) -> tuple[ModelSection, Bucket]:
    bucket = Bucket({("b", "m/x.pt"): data, ("b", "labels.txt"): b"red\ngreen\nblue\n"})
    return choice(folder, data, path="s3://b/m/x.pt", labels="s3://b/labels.txt"), bucket


def test_model_from_s3_is_cached(tmp_path: Path) -> None:
    chosen, bucket = remote(tmp_path, torchscript())
    cache = tmp_path / "cache" / "models"
    source = Source(bucket.fetch, cache)
    assert colours(at_work(load(chosen, source), 3, 1, "float32")) == LABELS
    assert [file.name for file in cache.iterdir()] == [chosen.sha256]
    assert colours(at_work(load(chosen, source), 3, 1, "float32")) == LABELS
    assert bucket.reads.count(("b", "m/x.pt")) == 1


def test_damaged_cached_model_is_fetched_again(tmp_path: Path) -> None:
    data = torchscript()
    chosen, bucket = remote(tmp_path, data)
    source = Source(bucket.fetch, tmp_path)
    kept = tmp_path / str(chosen.sha256)
    for damaged in (b"", data[:-1], b"other"):
        kept.write_bytes(damaged)
        load(chosen, source)
        assert kept.read_bytes() == data
    assert bucket.reads.count(("b", "m/x.pt")) == 3


def test_model_with_another_sha256_is_refused_and_not_cached(tmp_path: Path) -> None:
    chosen, bucket = remote(tmp_path, torchscript())
    bucket.objects["b", "m/x.pt"] += b"x"
    with pytest.raises(BadModel, match=r"its SHA-256 is .*, model.sha256 says"):
        load(chosen, Source(bucket.fetch, tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_unwritable_model_cache_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    chosen, bucket = remote(tmp_path, torchscript())
    for cache in (tmp_path / "file" / "cache", None):
        assert load(chosen, Source(bucket.fetch, cache)).labels == tuple(LABELS)


def test_missing_model_in_s3_names_the_setting(tmp_path: Path) -> None:
    chosen, bucket = remote(tmp_path, torchscript())
    del bucket.objects["b", "labels.txt"]
    with pytest.raises(BadModel, match=r"s3://b/labels.txt: cannot be read: .*\(model.labels\)"):
        load(chosen, Source(bucket.fetch))
    bucket.objects.clear()
    with pytest.raises(BadModel, match=r"s3://b/m/x.pt: cannot be read: .*\(model.path\)"):
        load(chosen, Source(bucket.fetch))


def test_unreachable_s3_is_try_later(tmp_path: Path) -> None:
    def busy(_bucket: str, key: str) -> bytes:
        raise TryLater(f"get {key}: SlowDown")

    chosen, _ = remote(tmp_path, torchscript())
    with pytest.raises(TryLater):
        load(chosen, Source(busy))


def test_model_cache_directory() -> None:
    given = {"CACHE_DIRECTORY": "/var/cache/a:/var/cache/b"}
    assert cache_folder({}) == Path("/var/cache/visionfleet/models")
    assert cache_folder(given) == Path("/var/cache/a/models")
