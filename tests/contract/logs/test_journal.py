"""Logs to the journal over a real datagram socket."""

import array
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from visionfleet.logs import journal
from visionfleet.logs.journal import Journal
from visionfleet.logs.message_ids import MESSAGE_IDS
from visionfleet.logs.setup import JournalHandler


class Journald:
    """What systemd-journald has: a socket for entries, and a stream that is a unit's stderr."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "socket")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address)
        self.socket.settimeout(10)
        self.stream, self.stderr = socket.socketpair()
        self.stream.settimeout(10)

    def read(self) -> dict[str, list[str]]:
        """Take one entry, from its datagram or from the file that came instead."""
        data, ancillary, _, _ = self.socket.recvmsg(1 << 20, 64)
        for _level, _kind, raw in ancillary:
            (number,) = array.array("i", raw)
            with os.fdopen(number, "rb") as file:
                file.seek(0)
                data = file.read()
        return parsed(data)

    def close(self) -> None:
        for each in (self.socket, self.stream, self.stderr):
            each.close()


def parsed(data: bytes) -> dict[str, list[str]]:
    """Read an entry as the journal does."""
    found: dict[str, list[str]] = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(data[:8], "little")
            value, data = data[8 : 8 + size], data[8 + size + 1 :]
        found.setdefault(name.decode(), []).append(value.decode())
    return found


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    made = Journald(tmp_path)
    yield made
    made.close()


@pytest.fixture
def log(journald: Journald) -> Iterator[logging.Logger]:
    to = Journal(journald.address, journald.stderr.fileno())
    logger = logging.getLogger("web.test")
    logger.propagate, before = False, logger.level
    logger.setLevel("DEBUG")
    logger.handlers = [JournalHandler(to, "web", {"worker": "w0"})]
    yield logger
    logger.handlers, logger.propagate = [], True
    logger.setLevel(before)
    to.close()


def test_journal_entry_has_its_fields(journald: Journald, log: logging.Logger) -> None:
    log.info("job accepted", extra={"job": "j1", "file_name": 'a "b".jpg', "seconds": 0.12345})
    entry = journald.read()
    assert entry["MESSAGE"] == ['job accepted job=j1 file_name="a \\"b\\".jpg" seconds=0.123']
    assert entry["MESSAGE_ID"] == [MESSAGE_IDS["job accepted"]]
    assert entry["PRIORITY"] == ["6"]
    assert entry["SYSLOG_IDENTIFIER"] == ["visionfleet-web"]
    assert (entry["JOB_ID"], entry["WORKER_ID"]) == (["j1"], ["w0"])
    assert entry["VISIONFLEET_FILE_NAME"] == ['a "b".jpg']
    assert entry["VISIONFLEET_SECONDS"] == ["0.123"]
    assert entry["CODE_FILE"] == [__file__]
    assert entry["CODE_FUNC"] == ["test_journal_entry_has_its_fields"]
    assert entry["CODE_LINE"][0].isdigit()
    assert "EXCEPTION_TEXT" not in entry


def test_journal_exception_has_its_own_field(journald: Journald, log: logging.Logger) -> None:
    try:
        raise ValueError("no such thing")
    except ValueError as error:
        log.critical("crashed", exc_info=error)
    entry = journald.read()
    assert entry["MESSAGE"] == ['crashed error="ValueError: no such thing"']
    assert entry["PRIORITY"] == ["2"]
    assert entry["EXCEPTION_TEXT"][0].startswith("Traceback (most recent call last):\n")


def test_large_journal_entry_is_sent_in_a_file(journald: Journald, log: logging.Logger) -> None:
    text = "x" * 3_000_000
    log.info("refused", extra={"detail": text})
    assert journald.read()["VISIONFLEET_DETAIL"] == [text]


def test_blocked_journal_does_not_block_the_daemon(journald: Journald, log: logging.Logger) -> None:
    lines = 3_000
    for i in range(lines):
        log.info("job done", extra={"job": f"j{i}"})
    entries, plain = 0, b""
    for each in (journald.socket, journald.stream):
        each.setblocking(False)
    with suppress(BlockingIOError):
        while journald.read():
            entries += 1
    with suppress(BlockingIOError):
        while piece := journald.stream.recv(1 << 20):
            plain += piece
    first = plain.splitlines()[0].decode()
    assert first.endswith(f"INFO web.test: job done job=j{entries}")  # the next one, none missing
    log.info("ready")
    assert journald.read()["MESSAGE"] == ["ready"]
    told = journald.read()
    assert told["MESSAGE_ID"] == [MESSAGE_IDS["lines lost"]]
    assert entries + plain.count(b"\n") + int(told["VISIONFLEET_LINES"][0]) == lines


def test_log_lines_are_plain_without_a_journal(journald: Journald, log: logging.Logger) -> None:
    Path(journald.address).unlink()
    log.warning("at maximum", extra={"reason": "as many as may be"})
    line = journald.stream.recv(1 << 16).decode()
    assert line.startswith("<4>20")  # which the journal takes for the priority
    assert line.endswith('WARNING web.test: at maximum reason="as many as may be"\n')
    journald.stream.close()
    log.warning("at maximum")  # and nobody reads those either


def test_journal_is_used_only_when_stderr_is_its_stream(journald: Journald, tmp_path: Path) -> None:
    number = journald.stderr.fileno()
    found = os.fstat(number)
    ours = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
    assert journal.stderr_is_journal(ours, number)
    assert not journal.stderr_is_journal({}, number)
    with (tmp_path / "file").open("w") as redirected:
        assert not journal.stderr_is_journal(ours, redirected.fileno())
    assert not journal.stderr_is_journal(ours, 999)
