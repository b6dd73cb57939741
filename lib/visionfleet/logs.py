"""Structured logs: one line per fact, a sentence and then fields, on standard error."""

import json
import logging
import sys
import time
from typing import TextIO

# What every LogRecord has; anything else was given as a field.
_PLAIN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class FieldsFormatter(logging.Formatter):
    """Writes `2026-01-31T10:00:00.123Z INFO web: job accepted job=01h... file_name="a b.jpg"`."""

    def format(self, record: logging.LogRecord) -> str:
        """Put the fields given as `extra` behind the sentence."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        head = f"{moment}.{int(record.msecs):03d}Z {record.levelname} {record.name}: "
        fields = (
            f" {name}={_value(value)}" for name, value in vars(record).items() if name not in _PLAIN
        )
        line = head + record.getMessage() + "".join(fields)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def set_up(level: str, stream: TextIO | None = None) -> None:
    """Send all logs to standard error; the libraries below us speak up from WARNING on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(FieldsFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    set_level(level)


def set_level(level: str) -> None:
    """Let our own logs speak up from this level on."""
    for name in ("web", "scaler", "classifier"):
        logging.getLogger(name).setLevel(level)


def _value(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return text if text and text.isprintable() and not set(text) & set(' "=') else json.dumps(text)
