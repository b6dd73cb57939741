"""Query parameters."""

import pytest

from visionfleet.web.problems import Problem
from visionfleet.web.routes.parameters import top, wait_seconds


@pytest.mark.parametrize(
    ("text", "value"), [(None, 30), ("0", 0), ("1.5", 1.5), ("300", 300), ("1e2", 100)]
)
def test_seconds_parameter_is_parsed(text: str | None, value: float) -> None:
    assert wait_seconds(text, 30, 300) == value


@pytest.mark.parametrize("text", ["", "x", "-1", "300.1", "nan", "inf", "-inf", "1,5", "9" * 30])
def test_bad_seconds_parameter_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="wait: expected 0 to 300 seconds") as caught:
        wait_seconds(text, 30, 300)
    assert (caught.value.status, caught.value.code) == (400, "bad_parameter")


@pytest.mark.parametrize(("text", "value"), [(None, 5), ("1", 1), ("1000", 1000), ("007", 7)])
def test_top_parameter_is_parsed(text: str | None, value: int) -> None:
    assert top(text) == value


@pytest.mark.parametrize("text", ["", "0", "1001", "-1", "1.0", "x", "²", "٣", "9" * 30])
def test_bad_top_parameter_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="top: expected 1 to 1000"):
        top(text)
