"""Request bodies within their limits and the memory budget."""

import pytest

from visionfleet.web.http.body import Body, Files
from visionfleet.web.http.multipart import reader
from visionfleet.web.load.memory_budget import MemoryBudget
from visionfleet.web.problems import Problem


def body(limit: int, patience: int, held: MemoryBudget | None = None) -> Body:
    return Body(limit, patience, held or MemoryBudget(1000))


def test_body_is_assembled_and_taken_once() -> None:
    made = body(10, 80)
    for chunk in (b"ab", b"", b"cd"):
        made.add(chunk)
    assert made.take() == b"abcd"
    assert made.take() == b""


def test_body_of_exactly_the_limit_is_accepted() -> None:
    made = body(4, 8)
    made.add(b"abcd")
    assert made.take() == b"abcd"


def test_body_over_the_limit_is_read_and_refused() -> None:
    made = body(4, 8)
    for _ in range(8):
        made.add(b"x")
    assert not made.exhausting
    with pytest.raises(Problem, match="8 bytes, the limit is 4") as caught:
        made.take()
    assert caught.value.status == 413


def test_body_far_over_the_limit_is_not_read_to_its_end() -> None:
    made = body(4, 8)
    made.add(b"123456789")
    assert made.exhausting
    assert "more than 9" in made.too_large().detail


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
def test_declared_length_over_the_limit_is_refused(
    length: int, asks_first: bool, refused: bool
) -> None:
    made = body(4, 8)
    if refused:
        with pytest.raises(Problem):
            made.declare(length, asks_first)
    else:
        made.declare(length, asks_first)


def test_memory_budget_counts_a_body_until_it_is_taken() -> None:
    held = MemoryBudget(10)
    made = body(10, 80, held)
    made.add(b"abcd")
    assert held.bytes == 4
    made.take()
    assert held.bytes == 0
    made.drop()
    assert held.bytes == 0


def test_memory_budget_refuses_and_releases_what_does_not_fit() -> None:
    held = MemoryBudget(10)
    one, two = body(10, 80, held), body(10, 80, held)
    one.add(b"12345678")
    two.add(b"ab")
    two.add(b"c")
    assert held.bytes == 8, "of the second nothing is kept"
    two.add(b"d")
    with pytest.raises(Problem) as caught:
        two.take()
    assert (caught.value.code, caught.value.headers) == ("overloaded", {"Retry-After": "2"})
    one.drop()
    held.expect(10)
    with pytest.raises(Problem):
        held.expect(11)


def test_refused_body_holds_no_memory() -> None:
    held = MemoryBudget(10)
    made = body(10, 80, held)
    made.add(b"1")
    made.refuse(Problem("no_key", "x"))
    made.add(b"2")
    assert held.bytes == 0
    with pytest.raises(Problem, match="x"):
        made.take()


def test_form_refused_early_is_released() -> None:
    held = MemoryBudget(1000)
    made = Files(1000, 8000, held, reader("multipart/form-data; boundary=X", 3))
    made.add(b"--X\r\nno header")
    made.add(b"\x00\r\n" * 50)
    assert held.bytes == 0
    with pytest.raises(Problem) as caught:
        made.files()
    assert caught.value.code == "bad_body"
