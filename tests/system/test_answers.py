"""What comes back over HTTP: good images by a model that a user brings, and bad input."""

import hashlib
import io
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from testkit.images.pictures import encoded, numbered, photo
from testkit.processes.stack import Stack, data, stack
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch


@pytest.fixture(scope="module")
def running() -> Iterator[Stack]:
    weights = data("weights")
    path = next(weights.glob("*.torchscript.pt"))
    settings = {
        "VISIONFLEET_MODEL__NAME": "mobilenet_v2_int8",
        "VISIONFLEET_MODEL__PATH": str(path),
        "VISIONFLEET_MODEL__SHA256": f"'{hashlib.sha256(path.read_bytes()).hexdigest()}'",
        "VISIONFLEET_MODEL__LABELS": str(weights / "imagenet_words.txt"),
    }
    with stack(settings) as made:
        yield made


def test_torchscript_model_answers_real_photos(
    running: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = sorted(data("photos").glob("*.JPEG"))

    def right(index_and_path: tuple[int, object]) -> bool:
        path = photos[index_and_path[0]]
        with path.open("rb") as file:
            answer = requests.post(
                f"{running.url}/v1/classify?wait=120", files={"file": file}, timeout=130
            )
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["top"][0]["index"] == int(path.name.split("_")[0]))

    with ThreadPoolExecutor(8) as clients:
        share = sum(clients.map(right, enumerate(photos))) / len(photos)
    with capsys.disabled():
        print(f"\ntop-1 over HTTP on {len(photos)} photos: {share:.3f}")
    assert share >= 0.80


def huge_png() -> bytes:
    """A kilobyte that claims 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    ihdr = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("files", "status", "code"),
    [
        ({}, 400, "no_file"),
        ({"myfile": ("empty.jpg", b"")}, 400, "empty"),
        ({"myfile": ("text.jpg", b"hello, I am text\n" * 9)}, 415, "not_an_image"),
        ({"myfile": ("cut.jpg", photo()[:-9000])}, 422, "cannot_be_decoded"),
        ({"myfile": ("bomb.png", huge_png())}, 422, "too_many_pixels"),
        ({"myfile": ("big.jpg", photo() + bytes(30_000_000))}, 413, "too_large"),
    ],
    ids=["no file", "empty", "text", "truncated", "bomb", "30 MB"],
)
def test_bad_input_gets_its_documented_response(
    running: Stack, files: dict[str, tuple[str, bytes]], status: int, code: str
) -> None:
    answer = requests.post(running.url + "/", files=files or None, timeout=120)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json()["code"] == code
    good = {"myfile": ("good.png", encoded(numbered(1, 64)))}
    after = requests.post(running.url + "/", files=good, timeout=120)
    assert (after.status_code, after.headers["Content-Type"][:10]) == (200, "text/plain")


def test_unusable_model_is_reported_and_the_service_goes_on() -> None:
    """No worker can start; uploads are still accepted, who waits is told, and nothing spins."""
    with stack({"VISIONFLEET_MODEL__NAME": "resnet81"}) as running:
        files = {"file": ("x.png", encoded(numbered(3, 64)))}
        begun = time.monotonic()
        answer = requests.post(running.url + "/v1/classify?wait=250", files=files, timeout=300)
        assert time.monotonic() - begun < 120, "the wait ends when it is hopeless"
        assert (answer.status_code, answer.json()["status"]) == (202, "queued")
        assert "did you mean resnet18" in answer.json()["reason"]
        fleet = running.get("/v1/fleet")
        assert "did you mean resnet18" in fleet["fault"]
        assert "did you mean resnet18" in " ".join(fleet["alarms"])
        assert requests.get(running.url + "/readyz", timeout=30).status_code == 200
        wait_until(lambda: _tries(running) >= 3, 120, lambda: running.log("scaler"))
        job = requests.get(running.url + answer.json()["location"], timeout=30)
        assert (job.status_code, job.json()["status"]) == (202, "queued")
        assert _tries(running) <= 3 + (time.monotonic() - begun) / 15, "then rarely"


def _tries(running: Stack) -> int:
    logs = (running.var / "log").glob("classifier_*.log")
    return sum(log.read_text().count("model cannot be used") for log in logs)


def test_upload_with_any_field_name_is_accepted(running: Stack) -> None:
    for field in ("myfile", "file", "inputFile", "image"):
        files = {field: ("x.png", io.BytesIO(encoded(numbered(3, 64))))}
        assert requests.post(running.url + "/", files=files, timeout=120).status_code == 200
