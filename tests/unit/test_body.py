"""Request bodies within bounds."""

import pytest

from visionfleet.web.body import Body
from visionfleet.web.problems import Problem


def test_a_body_is_put_together_and_handed_out_once() -> None:
    body = Body(10, 80)
    for chunk in (b"ab", b"", b"cd"):
        body.add(chunk)
    assert body.take() == b"abcd"
    assert body.take() == b""


def test_a_body_of_just_the_limit_is_taken() -> None:
    body = Body(4, 8)
    body.add(b"abcd")
    assert body.take() == b"abcd"


def test_what_is_over_the_limit_is_read_and_refused() -> None:
    body = Body(4, 8)
    for _ in range(8):
        body.add(b"x")
    assert not body.exhausting
    with pytest.raises(Problem, match="8 bytes, the limit is 4") as caught:
        body.take()
    assert caught.value.status == 413


def test_patience_has_an_end() -> None:
    body = Body(4, 8)
    body.add(b"123456789")
    assert body.exhausting
    assert "more than 9" in body.too_large().detail


@pytest.mark.parametrize(
    ("length", "asks_first", "refused"),
    [
        (4, False, False),
        (5, False, False),  # it sends already, so let it
        (8, False, False),
        (9, False, True),
        (4, True, False),
        (5, True, True),  # it has sent nothing, so it can be told at once
    ],
)
def test_declared_lengths(length: int, asks_first: bool, refused: bool) -> None:
    body = Body(4, 8)
    if refused:
        with pytest.raises(Problem):
            body.declare(length, asks_first)
    else:
        body.declare(length, asks_first)
