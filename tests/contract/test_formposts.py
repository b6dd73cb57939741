"""Uploads by form against the embedded AWS: what S3 then has, and what a failure does."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from unittest.mock import patch

import pytest

from tests.support.cloud import BUCKETS, Cloud, cloud
from tests.support.ports import free_port
from tests.support.recording import Recorder, recording
from visionfleet.aws import Access
from visionfleet.errors import TryLater
from visionfleet.formposts import RENEW_SECONDS, FormPosts
from visionfleet.store import Store


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("aws")) as made:
        yield made


@dataclass
class Poster:
    """Form posts through a recorder, and the clock they go by."""

    recorder: Recorder
    store: Store
    forms: FormPosts = field(init=False)
    now: float = 0.0

    @property
    def methods(self) -> list[str]:
        """The requests so far; forgets them."""
        seen, self.recorder.seen = self.recorder.seen, []
        return [one.method for one in seen]


def poster(url: str, recorder: Recorder) -> Poster:
    door = Access("us-east-1", url, 2.0, 5.0, 1, placeholder_credentials=True)
    made = Poster(recorder, Store(door.client("s3"), BUCKETS[0]))
    made.forms = FormPosts(made.store, "images/", door.pool(2), lambda: made.now)
    return made


@pytest.fixture
def posts(aws: Cloud) -> Iterator[Poster]:
    with recording(aws.endpoint_url) as recorder:
        yield poster(recorder.url, recorder)


@pytest.mark.parametrize(
    ("name", "kept"), [("Löwe 1.png", "L\\u00f6we 1.png"), ('a"b\r\nc.jpg', 'a\\"b\\r\\nc.jpg')]
)
def test_the_object_is_the_one_a_put_makes(posts: Poster, aws: Cloud, name: str, kept: str) -> None:
    data = b"\x89PNG\r\n--x\r\n" + bytes(range(256))
    posts.forms.put("images/j1", data, "image/png", name)
    assert posts.methods == ["POST"]
    head = aws.s3.head_object(Bucket=BUCKETS[0], Key="images/j1")
    assert (head["ContentType"], head["Metadata"]["file-name"]) == ("image/png", kept)
    assert posts.store.get("images/j1") == data


def test_a_file_without_a_name(posts: Poster) -> None:
    posts.forms.put("images/j2", b"bytes", "image/png", "")
    assert posts.methods == ["POST"]
    assert posts.store.get("images/j2") == b"bytes"


def test_one_signature_is_used_until_it_is_renewed(posts: Poster) -> None:
    signed = []
    for now in (0, RENEW_SECONDS - 1, RENEW_SECONDS):
        posts.now = now
        with patch.object(
            Store, "target_under", autospec=True, side_effect=Store.target_under
        ) as sign:
            posts.forms.put("images/j3", b"bytes", "image/png", "a.png")
        signed.append(sign.call_count)
    assert signed == [1, 0, 1]


def test_a_form_that_fails_is_put_and_forms_rest(posts: Poster) -> None:
    posts.recorder.spoil = lambda seen: seen.method == "POST"
    posts.forms.put("images/j4", b"bytes", "image/png", "a.png")
    assert posts.methods == ["POST", "PUT"]
    assert posts.store.get("images/j4") == b"bytes"
    posts.recorder.spoil = lambda _: False
    posts.recorder.seen.clear()
    posts.forms.put("images/j5", b"bytes", "image/png", "a.png")
    assert posts.methods == ["PUT"]
    posts.now += RENEW_SECONDS
    posts.forms.put("images/j6", b"bytes", "image/png", "a.png")
    assert posts.methods == ["POST"]


def test_nothing_that_listens() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with recording(url) as recorder, pytest.raises(TryLater, match="put images/j7"):
        poster(url, recorder).forms.put("images/j7", b"bytes", "image/png", "a.png")


def test_behind_a_proxy_clients_know_the_way(
    posts: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", posts.recorder.url)
    monkeypatch.setenv("no_proxy", "")
    posts.forms.put("images/j8", b"bytes", "image/png", "a.png")
    assert posts.methods == ["PUT"]
