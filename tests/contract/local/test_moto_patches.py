"""Each patch of moto by itself; test_embedded_aws shows what they do for clients."""

import io
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

moto_patches = pytest.importorskip("visionfleet.local.moto_patches")
backends = pytest.importorskip("moto.backends")
sqs = pytest.importorskip("moto.sqs.models")


def environ(body: bytes = b"", **more: Any) -> dict[str, Any]:
    return {"wsgi.input": io.BytesIO(body), **more}


def test_moto_handles_one_request_at_a_time() -> None:
    inside = threading.Semaphore(0)

    def application(_environ: dict[str, Any], _start_response: Any) -> list[bytes]:
        inside.release()
        # gives the others 50 ms to come in as well: then there are two permits to be had
        alone = inside.acquire() and not inside.acquire(timeout=0.05)
        return [b"alone" if alone else b"in company"]

    serialised = moto_patches.one_at_a_time(application, threading.RLock())
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(serialised, environ(), None) for _ in range(4)]
        assert [answer.result() for answer in answers] == 4 * [[b"alone"]]


@pytest.mark.parametrize(
    ("body", "length", "whole"),
    [
        (b"abc", "3", True),
        (b"", "", True),
        (b"", "0", True),
        (b"ab", "3", False),
        (b"", "3", False),
    ],
)
def test_incomplete_body_is_an_error(body: bytes, length: str, whole: bool) -> None:
    request = environ(body, CONTENT_LENGTH=length)
    if whole:
        assert moto_patches.whole_body(request) == body
    else:
        with pytest.raises(ConnectionResetError):
            moto_patches.whole_body(request)


def test_closed_peer_is_noticed_without_reading() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        ours.settimeout(30)  # as in the server; the look must not wait for it
        assert not moto_patches.is_closed_by_peer(ours)
        theirs.sendall(b"next request")
        assert not moto_patches.is_closed_by_peer(ours)
        assert ours.recv(100) == b"next request"
        theirs.close()
        assert moto_patches.is_closed_by_peer(ours)


def test_patches_are_undone() -> None:
    before = (sqs.unix_time, sqs.Queue.__init__, sqs.SQSBackend.receive_message)
    with moto_patches.patched_moto(threading.Event()):
        assert sqs.SQSBackend.receive_message is not before[2]
    assert (sqs.unix_time, sqs.Queue.__init__, sqs.SQSBackend.receive_message) == before


def test_service_names_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = list(backends.list_of_moto_modules())
    with moto_patches.patched_moto(threading.Event()):
        monkeypatch.delattr(os, "listdir")
        assert list(backends.list_of_moto_modules()) == theirs


def other_receive(self: Any, queue: str) -> None:
    """A receive_message of some future moto."""


@pytest.mark.parametrize(
    ("owner", "name", "value", "told"),
    [
        (sqs.SQSBackend, "receive_message", other_receive, "SQSBackend.receive_message"),
        (sqs, "unix_time", None, "unix_time"),
        (sqs.Queue, "__init__", lambda self, *args: None, "Queue._messages_lock"),
        (sqs.Queue, "attributes", property(lambda self: {"New": 1}), "Queue.attributes"),
        (backends, "list_of_moto_modules", lambda: ["other"], "list_of_moto_modules"),
    ],
)
def test_moto_with_other_internals_is_refused(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, value: Any, told: str
) -> None:
    if value is None:
        monkeypatch.delattr(owner, name)
    else:
        monkeypatch.setattr(owner, name, value)
    with pytest.raises(moto_patches.UnknownMotoError, match=r"moto \d+\.\d+.*" + told):
        moto_patches.check_moto()


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("plain", {}),
        ("guarded", {"Policy": '{"Version": "2012-10-17", "Statement": []}'}),
        ("redriven", {"RedrivePolicy": '{"deadLetterTargetArn": "%s", "maxReceiveCount": 5}'}),
        ("sealed", {"KmsMasterKeyId": "alias/aws/sqs"}),
        ("ordered.fifo", {"FifoQueue": "true", "ContentBasedDeduplication": "true"}),
    ],
)
def test_single_queue_attributes_equal_those_of_moto(name: str, given: dict[str, str]) -> None:
    backend = sqs.SQSBackend("us-east-1", "123456789012")
    dead = backend.create_queue("dead", {}).queue_arn
    filled = {key: text.replace("%s", dead) for key, text in given.items()}
    queue = backend.create_queue(name, filled)
    theirs = dict(queue.attributes)
    ours = moto_patches.Attributes(queue)
    assert dict(ours) == theirs
    assert [ours.get(key) for key in theirs] == list(theirs.values())
    assert len(ours) == len(theirs)
    assert ours.get("Nothing") is None


def test_receive_cost_hardly_grows_with_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = 0

    def counted(self: Any) -> bool:
        nonlocal looks
        looks += 1
        return bool(sqs.unix_time_millis() > self.visible_at)

    monkeypatch.setattr(sqs.Message, "visible", property(counted))
    with moto_patches.patched_moto(threading.Event()):
        backend = sqs.SQSBackend("us-east-1", "123456789012")
        backend.create_queue("deep", {"VisibilityTimeout": "600"})
        for _ in range(400):
            backend.send_message("deep", "x")
        assert looks == 0  # to send is to look at no other message
        assert len(backend.receive_message("deep", 10, 0, 600, [])) == 10
    assert looks < 3 * 400
