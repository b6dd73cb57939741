"""Structured logs: one line per event, as text on standard error or as journal fields."""

import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from typing import TextIO

from visionfleet.logs import journal
from visionfleet.logs.journal import Journal
from visionfleet.logs.journal_fields import Field, encoded, fields, priority
from visionfleet.logs.message_ids import MESSAGE_IDS

# Attributes of every LogRecord; all others are fields.
_PLAIN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class FieldsFormatter(logging.Formatter):
    """Writes `2026-01-31T10:00:00.123Z INFO web: job accepted job=01h... file_name="a b.jpg"`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        head = f"{moment}.{int(record.msecs):03d}Z {record.levelname} {record.name}: "
        line = head + _sentence(record)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JournalHandler(logging.Handler):
    """Falls back to plain lines; lost lines are counted, and reported later."""

    def __init__(self, to: Journal, daemon: str, always: Mapping[str, object]) -> None:
        super().__init__()
        self.setFormatter(FieldsFormatter())
        self._journal, self._always = to, _texts(always)
        self._identifier = f"visionfleet-{daemon}" if daemon else "visionfleet"
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        if self._journal.send(encoded(self._entry(record))):
            self._tell_of_lost()
        elif not self._journal.write_line(f"<{priority(record.levelno)}>{self.format(record)}"):
            self._lost += 1

    def _tell_of_lost(self) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            told = logging.makeLogRecord({"msg": "lines lost", "levelno": logging.WARNING})
            told.__dict__.update(name="journal", lines=lost)
            self._journal.send(encoded(self._entry(told)))

    def _entry(self, record: logging.LogRecord) -> Iterator[Field]:
        sentence, error = _sentence(record), _error(record)
        yield "MESSAGE", f"{sentence} error={_quoted(error)}" if error else sentence
        yield "PRIORITY", str(priority(record.levelno))
        yield "SYSLOG_IDENTIFIER", self._identifier
        yield "LOGGER", record.name
        yield "THREAD_NAME", str(record.threadName)
        if record.pathname:
            yield "CODE_FILE", record.pathname
            yield "CODE_LINE", str(record.lineno)
            yield "CODE_FUNC", record.funcName or ""
        kind = MESSAGE_IDS.get(record.getMessage())
        if kind is not None:
            yield "MESSAGE_ID", kind
        if record.exc_info:
            yield "EXCEPTION_TEXT", logging.Formatter().formatException(record.exc_info)
        yield from fields({**self._always, **_texts(_given(record))})


def set_up(level: str, daemon: str = "", stream: TextIO | None = None, **always: object) -> None:
    """Send all logs to standard error; `always` are fields of each journal entry."""
    root = logging.getLogger()
    if stream is None and journal.stderr_is_journal(os.environ):
        root.handlers = [JournalHandler(Journal(), daemon, always)]
    else:
        handler = logging.StreamHandler(stream or sys.stderr)
        handler.setFormatter(FieldsFormatter())
        root.handlers = [handler]
    root.setLevel(logging.WARNING)
    # They warn, with a traceback, of what who asked tells in a line: of headers that are cut off,
    # and of credentials that cannot be renewed.
    for name in ("urllib3.connection", "botocore.credentials"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Looked up for each line, and never written.
    logging.logProcesses = logging.logMultiprocessing = False
    set_level(level)


def set_level(level: str) -> None:
    for name in ("web", "scaler", "classifier"):
        logging.getLogger(name).setLevel(level)


def _given(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _PLAIN}


def _sentence(record: logging.LogRecord) -> str:
    found = _texts(_given(record)).items()
    return record.getMessage() + "".join(f" {name}={_quoted(value)}" for name, value in found)


def _texts(given: Mapping[str, object]) -> dict[str, str]:
    return {
        name: f"{value:.3f}" if isinstance(value, float) else str(value)
        for name, value in given.items()
    }


def _quoted(text: str) -> str:
    return text if text and text.isprintable() and not set(text) & set(' "=') else json.dumps(text)


def _error(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    return traceback.format_exception_only(record.exc_info[1])[-1].strip()
