"""A model's artefact: what it keeps, how damage is found, who makes and who shares it."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testkit.aws.embedded import BUCKETS, Cloud
from testkit.images.model_files import LABELS, choice, colours, made, torchscript
from visionfleet.aws.s3 import Store
from visionfleet.config import Config
from visionfleet.config.classifier import ModelSection
from visionfleet.contract.messages import ModelInfo
from visionfleet.errors import BadModel
from visionfleet.imaging.model_input import Preprocessing
from visionfleet.model import artefact, making
from visionfleet.model.artefact import Manifest
from visionfleet.model.artefact_store import ArtefactStore, key_of
from visionfleet.model.choice import Chosen
from visionfleet.model.loading import load
from visionfleet.model.open import find_or_make, opened
from visionfleet.model.processor import Processor
from visionfleet.model.source import Source

pytestmark = pytest.mark.needs_torch

HERE = Processor("one of a kind", bfloat16=False)
MANIFEST = Manifest(
    made_by="1",
    processor=HERE.name,
    source="0" * 64,
    info=ModelInfo(name="mine", fingerprint="f"),
    labels=("red", "blue"),
    preprocessing=Preprocessing(8, 8, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), "bicubic"),
    temperature=1.5,
    unknown_below=0.25,
    chosen=Chosen("openvino", "int8"),
)
FILES = {"model.xml": b"<net/>", "model.bin": bytes(range(256)), "empty": b""}


def written(**changes: Any) -> bytes:
    return artefact.encode(MANIFEST.model_copy(update=changes), FILES)


def test_artefact_gives_back_what_was_written() -> None:
    found = artefact.open_bytes(written(), "here")
    assert found.manifest.model_copy(update={"files": {}}) == MANIFEST
    assert {name: bytes(found.file(name)) for name in FILES} == FILES
    with pytest.raises(BadModel, match="here: there is no other in it"):
        found.file("other")


def read(data: bytes) -> dict[str, bytes]:
    found = artefact.open_bytes(data, "here")
    return {name: bytes(found.file(name)) for name in FILES}


def test_damage_anywhere_is_found() -> None:
    whole = written()
    for place in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 0x10
        with contextlib.suppress(BadModel):
            assert read(bytes(changed)) == FILES, "only what lies between the files may change"
    for length in (0, 7, 30, 60, len(whole) // 2, len(whole) - 70):
        with pytest.raises(BadModel):
            read(whole[:length])


def test_released_pages_take_no_memory_and_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "one.artefact"
    path.write_bytes(written())
    found = artefact.open_file(path)
    for _ in range(2):
        assert {name: bytes(found.file(name)) for name in FILES} == FILES
        assert _resident(path) > 0
        found.release()
        assert _resident(path) == 0


def _resident(path: Path) -> int:
    """Add up the KiB of a mapped file's pages in this process."""
    _, _, rest = Path("/proc/self/smaps").read_text().partition(str(path))
    found = re.search(r"^Rss: +(\d+) kB", rest, re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_fields_of_a_later_version_are_ignored() -> None:
    text = json.loads(MANIFEST.model_dump_json())
    text |= {"invented": {"later": 1}}
    assert Manifest.model_validate_json(json.dumps(text)) == MANIFEST


CHANGES: list[dict[str, object]] = [
    {"runtime": "torch"},
    {"precision": "float32"},
    {"samples": Path("/photos")},
    {"sha256": "1" * 64},
    {"crop": 16},
    {"mean": (0.0, 0.0, 0.0)},
]


def test_key_is_that_of_what_decides(tmp_path: Path) -> None:
    chosen = choice(tmp_path, b"")
    keys = [key_of(chosen.model_copy(update=change), Source(), HERE) for change in CHANGES]
    same: list[dict[str, object]] = [{"threads": 3}, {"temperature": 2.0}, {"unknown_below": 0.9}]
    plain = key_of(chosen, Source(), HERE)
    assert {key_of(chosen.model_copy(update=change), Source(), HERE) for change in same} == {plain}
    (tmp_path / "labels.txt").write_text("a\nb\n")
    keys += [key_of(chosen, Source(), HERE), plain]
    keys.append(key_of(chosen, Source(), replace(HERE, name="another kind")))
    assert len(set(keys)) == len(CHANGES) + 3


def test_fingerprint_changes_with_whatever_decides_an_answer() -> None:
    deciding: list[dict[str, object]] = [
        {"source": "1" * 64},
        {"labels": ("blue", "red")},
        {"preprocessing": replace(MANIFEST.preprocessing, interpolation="bilinear")},
        {"preprocessing": replace(MANIFEST.preprocessing, std=(0.2, 0.2, 0.3))},
        {"temperature": 1.6},
        {"unknown_below": 0.26},
    ]
    found = [MANIFEST.model_copy(update=change).fingerprint() for change in deciding]
    assert len({MANIFEST.fingerprint(), *found}) == 1 + len(deciding)
    same = {"chosen": Chosen("torch", "float32"), "processor": "another", "made_by": "2"}
    assert MANIFEST.model_copy(update=same).fingerprint() == MANIFEST.fingerprint()


def test_unreadable_artefact_counts_as_none(tmp_path: Path) -> None:
    store = ArtefactStore((tmp_path, tmp_path / "baked"))
    assert store.find("k") is None
    (tmp_path / "k.artefact").write_bytes(b"from another time")
    assert store.find("k") is None
    (tmp_path / "baked").mkdir()
    (tmp_path / "baked/k.artefact").write_bytes(written())
    found = store.find("k")
    assert found is not None
    assert found.manifest.info.name == "mine"


def test_artefact_is_opened_though_it_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    found = ArtefactStore((tmp_path / "file/below",)).keep("k", written())
    assert bytes(found.file("model.xml")) == b"<net/>"


def config(folder: Path, **changes: Any) -> Config:
    return Config(model=choice(folder, torchscript(), **changes))


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    return os.environ


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_model_is_made_once_and_opened_by_all(
    tmp_path: Path, environment: Mapping[str, str], runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(tmp_path, runtime=runtime, precision="float32")
    first = find_or_make(settings, environment)
    assert first.manifest.chosen.runtime == runtime
    assert first.manifest.source == settings.model.sha256
    monkeypatch.setattr(making, "make_apart", lambda _: pytest.fail("made again"))
    for _ in range(2):
        assert colours(opened(find_or_make(settings, environment), settings.model, 1)) == LABELS


def test_reason_of_a_model_that_cannot_be_made_is_told(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\n")
    settings = config(tmp_path)
    (tmp_path / "labels.txt").write_text("a\nb\n")
    with pytest.raises(BadModel, match=r"the model gives \(1, 3\), not \(1, 2\) images and labels"):
        find_or_make(settings, environment)


def test_artefact_is_shared_in_s3(
    tmp_path: Path, aws: Cloud, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, bucket = config(tmp_path, precision="float32"), Store(aws.s3, BUCKETS[1])
    find_or_make(settings, environment, bucket)
    (key,) = aws.keys("models/artefacts/")
    monkeypatch.setattr(making, "make_apart", lambda _: pytest.fail("made again"))
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "another"))
    found = find_or_make(settings, os.environ, bucket)
    assert colours(opened(found, settings.model, 1)) == LABELS
    assert [p.name for p in (tmp_path / "another/models").iterdir()] == [key.rpartition("/")[2]]
    aws.s3.put_object(Bucket=BUCKETS[1], Key=key, Body=b"of a later format")
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "third"))
    monkeypatch.setattr(making, "make_apart", lambda _: written())
    assert find_or_make(settings, os.environ, bucket).manifest.info.name == "mine"


def test_what_a_bake_has_made_is_found_by_workers(
    tmp_path: Path, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    baked = tmp_path / "baked"
    settings = config(tmp_path, runtime="torch", precision="float32", directory=baked)
    found, path = making.build(settings, baked, share=False)
    assert path.parent == baked
    assert path.stat().st_mode & 0o777 == 0o644
    monkeypatch.setattr(making, "make", lambda _: pytest.fail("made again"))
    assert find_or_make(settings, environment).manifest == found.manifest
    assert not (tmp_path / "cache").exists()


IMPORTED = """
import os, sys
from visionfleet.config import Config
from visionfleet.config.classifier import ModelSection
from visionfleet.model.open import open_model
import numpy as np
model = open_model(Config.model_validate_json(sys.stdin.read()), os.environ)
model.rank([np.zeros((32, 32, 3), np.uint8)], 1)
unwanted = ("torch", "nncf", "openvino_telemetry", "openvino.tools.ovc")
print([name for name in unwanted if name in sys.modules])
"""


def test_worker_on_openvino_imports_no_torch(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    settings = config(tmp_path, runtime="openvino", precision="float32")
    for _ in range(2):  # the first makes the artefact
        done = subprocess.run(
            [sys.executable, "-c", IMPORTED],
            input=settings.model_dump_json(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "[]"


def test_settings_go_before_what_the_artefact_says(tmp_path: Path) -> None:
    loaded = replace(load(choice(tmp_path, torchscript())), temperature=2.0, unknown_below=0.5)
    found = artefact.open_bytes(made(loaded), "here")
    plain = opened(found, ModelSection(), 1)
    asked = opened(found, ModelSection(temperature=3.0, unknown_below=0.0), 1)
    assert (plain.temperature, plain.unknown_below) == (2.0, 0.5)
    assert (asked.temperature, asked.unknown_below) == (3.0, 0.0)
