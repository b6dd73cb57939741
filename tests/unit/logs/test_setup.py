"""Log lines."""

import io
import logging
from collections.abc import Iterator

import pytest

from visionfleet.logs import setup


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    captured = io.StringIO()
    setup.set_up("INFO", stream=captured)
    yield captured
    root.handlers, root.level = handlers, level


def test_log_fact_is_one_line_with_fields(stream: io.StringIO) -> None:
    fields = {"job": "j1", "file_name": 'a "b".jpg', "seconds": 0.12345, "empty": ""}
    logging.getLogger("web").info("job accepted", extra=fields)
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert line.endswith(
        'INFO web: job accepted job=j1 file_name="a \\"b\\".jpg" seconds=0.123 empty=""\n'
    )


def test_log_field_cannot_forge_a_line(stream: io.StringIO) -> None:
    logging.getLogger("web").info("job accepted", extra={"file_name": "x\n2026 ERROR forged"})
    assert stream.getvalue().count("\n") == 1


def test_log_level_applies_to_us_and_libraries_stay_quiet(stream: io.StringIO) -> None:
    logging.getLogger("botocore").info("chatter")
    logging.getLogger("scaler").debug("tick")
    assert stream.getvalue() == ""
    logging.getLogger("botocore").warning("trouble")
    assert "trouble" in stream.getvalue()


def test_cut_headers_are_told_by_who_asked_alone(stream: io.StringIO) -> None:
    log = logging.getLogger("urllib3.connection")
    try:
        raise ValueError("no separator")
    except ValueError:
        log.warning("Failed to parse headers (url=%s)", "http://s3", exc_info=True)
    assert stream.getvalue() == ""
    log.error("trouble")
    assert "trouble" in stream.getvalue()
