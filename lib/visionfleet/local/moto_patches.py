"""Patches moto, so that it can stand in for AWS under many concurrent clients."""

import errno
import inspect
import io
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import flask
import moto
from moto import backends
from moto.core.utils import camelcase_to_underscores
from moto.sqs import models as sqs

from visionfleet.errors import VisionfleetError

CONNECTION = "visionfleet.connection"  # the key of the client's socket in the WSGI environ

# How often a long poll checks for visible messages; new ones wake it at once.
LOOK_UP_SECONDS = 0.5

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Receive = Callable[..., list[Any]]
_RECEIVE_PARAMETERS = [
    "self",
    "queue_name",
    "count",
    "wait_seconds_timeout",
    "visibility_timeout",
    "message_attribute_names",
]


class UnknownMotoError(VisionfleetError):
    """The installed moto has other internals than the patches expect."""


def check_moto() -> None:
    if faults := list(_faults()):
        raise UnknownMotoError(
            f"moto {moto.__version__} cannot be used (written for moto 5.2), it differs in: "
            + ", ".join(faults)
        )


def _faults() -> Iterator[str]:
    receive = getattr(sqs.SQSBackend, "receive_message", None)
    if receive is None or list(inspect.signature(receive).parameters) != _RECEIVE_PARAMETERS:
        yield "SQSBackend.receive_message"
    if not all(hasattr(sqs, name) for name in ("unix_time", "unix_time_millis")):
        yield "unix_time and unix_time_millis in moto.sqs.models"
    make_queue: Callable[..., Any] = sqs.Queue
    try:
        probe = make_queue("probe", "us-east-1", "123456789012")
        probe.redrive_policy = {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:dead"}
        same = dict(Attributes(probe)) == dict(probe.attributes)
    except Exception:  # of an unknown version of moto
        probe, same = None, False
    if not isinstance(getattr(probe, "_messages_lock", None), threading.Condition):
        yield "the condition Queue._messages_lock"
    if not same:
        yield "Queue.attributes"
    modules = getattr(backends, "list_of_moto_modules", None)
    if not callable(modules) or not {"s3", "sqs"} <= set(modules()):
        yield "backends.list_of_moto_modules"


@contextmanager
def patched_moto(stop: threading.Event) -> Iterator[threading.RLock]:
    """Patch moto within a with block; the value is the lock for one_at_a_time()."""
    check_moto()
    lock = threading.RLock()
    receive = sqs.SQSBackend.receive_message
    with ExitStack() as stack:
        for owner, name, value in (
            (sqs, "unix_time", time.time),
            (sqs, "unix_time_millis", unix_time_millis),
            (sqs.Queue, "attributes", property(Attributes)),
            (sqs.Queue, "__init__", queue_init_with(lock, sqs.Queue.__init__)),
            (sqs.SQSBackend, "receive_message", receive_for_connected_clients(receive, stop)),
            (backends, "list_of_moto_modules", modules_once()),
        ):
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        yield lock


def modules_once() -> Callable[[], Iterable[str]]:
    """List moto's 170 folders only once: that took 1.0 of the 2.3 ms of an S3 get."""
    names = tuple(backends.list_of_moto_modules())
    return lambda: names


def unix_time_millis() -> float:
    """Read the clock without datetime objects: ten of 1000 messages took 426 ms, now 19 ms."""
    return time.time() * 1000.0


class Attributes(Mapping[str, Any]):
    """A queue's attributes, computed on access: ten messages took 28 ms, now 1.7."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def __getitem__(self, name: str) -> Any:
        if name not in self._names():
            raise KeyError(name)
        value = getattr(self._queue, camelcase_to_underscores(name))
        if name == "RedrivePolicy" and value:
            return json.dumps(value)
        return str(value).lower() if isinstance(value, bool) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> list[str]:
        queue = self._queue
        names = [
            *queue.BASE_ATTRIBUTES,
            *(queue.FIFO_ATTRIBUTES if queue.fifo_queue else ()),
            *(queue.KMS_ATTRIBUTES if queue.kms_master_key_id else ()),
            *(["Policy"] if queue.policy else ()),
            *(["RedrivePolicy"] if queue.redrive_policy else ()),
        ]
        return list(dict.fromkeys(names))


def one_at_a_time(application: WsgiApplication, lock: threading.RLock) -> WsgiApplication:
    """Serialize requests to moto: two conditional puts could both succeed."""

    def serialised(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["wsgi.input"] = io.BytesIO(whole_body(environ))
        with lock:
            return application(environ, start_response)

    return serialised


def whole_body(environ: dict[str, Any]) -> bytes:
    """Read the complete body; moto would store a truncated upload."""
    body: bytes = environ["wsgi.input"].read()
    if len(body) < int(environ.get("CONTENT_LENGTH") or 0):
        raise ConnectionResetError(errno.ECONNRESET, "the client went away during its request")
    return body


def queue_init_with(lock: threading.RLock, init: Callable[..., None]) -> Callable[..., None]:
    def queue_init(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self._messages_lock = threading.Condition(lock)

    return queue_init


def receive_for_connected_clients(receive: Receive, stop: threading.Event) -> Receive:
    """Wait for messages as moto does, but take none for a disconnected client."""

    def receive_message(
        self: Any, queue_name: str, count: int, wait_seconds_timeout: int, *more: Any
    ) -> list[Any]:
        arrival = self.get_queue(queue_name)._messages_lock
        deadline = time.monotonic() + wait_seconds_timeout
        while not client_disconnected():
            taken = receive(self, queue_name, count, 0, *more)
            left = deadline - time.monotonic()
            if taken or left <= 0 or stop.is_set():
                return taken
            with arrival:
                arrival.wait(min(left, LOOK_UP_SECONDS))
        return []

    return receive_message


def client_disconnected() -> bool:
    connection = flask.request.environ.get(CONNECTION) if flask.has_request_context() else None
    return connection is not None and is_closed_by_peer(connection)


def is_closed_by_peer(connection: socket.socket) -> bool:
    """Whether the peer has closed, without blocking or consuming data."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    if not poll.poll(0):
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True
