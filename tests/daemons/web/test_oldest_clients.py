"""The oldest clients of such services, unchanged: no retry, no timeout, a connection each."""

import http.client
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from testkit.aws.embedded import BUCKETS, Cloud, cloud
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.waiting import wait_until
from testkit.web.daemon import Web, web_daemon

CLIENTS = 100


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("aws")) as made, stand_in(made, threads=4):
        yield made


@pytest.fixture(scope="module")
def stem(aws: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("stem")
    with web_daemon(aws, folder, WEB__PLAIN_REPLY="'{stem}:{label}'") as made:
        yield made


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Write the files of the load generator: 64 x 64, numbered."""
    paths = []
    for number in range(CLIENTS):
        paths.append(tmp_path / f"test_{number}.JPEG")
        paths[-1].write_bytes(encoded(numbered(number, 64), "JPEG"))
    return paths


@pytest.mark.parametrize("path", ["", "/", "/upload", "/api/classify?x=1", "/index.php"])
def test_client_of_2021_posts_to_any_path(web: Web, images: list[Path], path: str) -> None:
    with images[0].open("rb") as file:
        answer = requests.post(web.url + path, files={"myfile": file})
    assert answer.status_code == 200
    assert answer.text == label_of(images[0].read_bytes())


@pytest.mark.parametrize("field", ["myfile", "file"])
def test_client_of_2022_compares_the_stripped_body(
    web: Web, images: list[Path], field: str
) -> None:
    with images[1].open("rb") as file:
        answer = requests.post(web.url, files={field: file})
    assert answer.text.strip() == label_of(images[1].read_bytes())


def test_client_of_2024_reads_what_follows_the_colon(stem: Web, images: list[Path]) -> None:
    with images[2].open("rb") as file:
        answer = requests.post(stem.url + "/", files={"inputFile": file})
    name, _, label = answer.text.partition(":")
    assert (name, label) == ("test_2", label_of(images[2].read_bytes()))


def part(image: bytes) -> bytes:
    """Write the form by hand: one part, no content type of its own, no other fields."""
    head = b'--b\r\nContent-Disposition: form-data; name="myfile"; filename="test_0.JPEG"\r\n\r\n'
    return head + image + b"\r\n--b--\r\n"


def test_hundred_threads_with_one_file_name_get_their_own(
    aws: Cloud, web: Web, images: list[Path]
) -> None:
    before = len(aws.keys("images/", BUCKETS[0])), len(aws.keys("results/"))
    answers: dict[str, tuple[int, str]] = {}
    together = threading.Barrier(CLIENTS)

    def send(path: Path) -> None:
        body = part(path.read_bytes())
        together.wait()
        made = http.client.HTTPConnection(urlsplit(web.url).netloc)
        made.request("POST", "/", body, {"Content-Type": "multipart/form-data; boundary=b"})
        answer = made.getresponse()
        answers[path.name] = answer.status, answer.read().decode()
        made.close()

    threads = [threading.Thread(target=send, args=(path,)) for path in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {path.name: (200, label_of(path.read_bytes())) for path in images}
    assert len(aws.keys("images/", BUCKETS[0])) == before[0] + CLIENTS
    assert len(aws.keys("results/")) == before[1] + CLIENTS
    wait_until(lambda: aws.counts() == (0, 0), 30, "the requests are gone")


def curl(*arguments: str) -> str:
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    argv = ["curl", "-sS", "-m", "60", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_curl_upload_prints_the_label(web: Web, images: list[Path]) -> None:
    label = label_of(images[3].read_bytes())
    assert curl("-F", f"file=@{images[3]}", web.url) == label
    raw = ("--data-binary", f"@{images[3]}", "-H", "Content-Type: image/jpeg")
    assert curl(*raw, web.url) == label
    assert f'"label": "{label}"' in curl(*raw, "-H", "Accept: application/json", web.url)


def test_unknown_api_path_stays_404(web: Web, images: list[Path]) -> None:
    for path in ("/v1/clasify", "/v2/infer", "/v1"):
        files = {"file": images[0].read_bytes()}
        assert web.post(path, files=files).status_code == 404
    assert web.get("/upload").status_code == 404
