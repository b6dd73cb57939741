"""Request bodies within their limits and the memory budget."""

import pytest

from visionfleet.web.http.body import Body, Whole, file_reader
from visionfleet.web.http.form import keep
from visionfleet.web.load.admission import Refusal
from visionfleet.web.load.memory_budget import MemoryBudget
from visionfleet.web.problems import Problem

FORM = "multipart/form-data; boundary=X"
TWO_FILES = b"".join(
    b'--X\r\nContent-Disposition: form-data; name="f"; filename="%s"\r\n\r\n%s\r\n' % part
    for part in [(b"a", b"12345"), (b"b", b"123")]
)


def body(limit: int, patience: int, budget: MemoryBudget | None = None) -> Body:
    return Body(Whole(), budget or MemoryBudget(1000), limit, patience)


def test_body_is_assembled() -> None:
    made = body(10, 80)
    for chunk in (b"ab", b"", b"cd"):
        made.add(chunk)
    assert made.take() == [b"abcd"]


def test_body_of_exactly_the_limit_is_accepted() -> None:
    made = body(4, 8)
    made.add(b"abcd")
    assert made.take() == [b"abcd"]


def test_body_over_the_limit_is_read_and_refused() -> None:
    made = body(4, 8)
    for _ in range(8):
        made.add(b"x")
    assert made.excess is None
    with pytest.raises(Problem, match="8 bytes, the limit is 4") as caught:
        made.take()
    assert caught.value.status == 413


def test_body_far_over_the_limit_is_not_read_to_its_end() -> None:
    made = body(4, 8)
    made.add(b"123456789")
    assert made.excess is not None
    assert "more than 9" in made.excess.detail


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
    made = Body(Whole(), MemoryBudget(1000), 4, 8, length, asks_first)
    assert (made.excess is not None) == refused


def test_memory_budget_counts_a_body_until_it_is_closed() -> None:
    budget = MemoryBudget(10)
    made = body(10, 80, budget)
    made.add(b"abcd")
    made.take()
    assert budget.used == 4
    made.close()
    made.close()
    assert budget.used == 0
    with pytest.raises(Problem, match="given up"):
        made.take()


def test_memory_budget_refuses_and_releases_what_does_not_fit() -> None:
    budget = MemoryBudget(10)
    one, two = body(10, 80, budget), body(10, 80, budget)
    one.add(b"12345678")
    two.add(b"ab")
    two.add(b"c")
    assert budget.used == 8, "of the second nothing is kept"
    two.add(b"d")
    with pytest.raises(Refusal) as caught:
        two.take()
    assert (caught.value.code, caught.value.retry_seconds) == ("overloaded", 2)
    one.close()
    budget.expect(10)
    with pytest.raises(Refusal):
        budget.expect(11)


def test_refused_body_holds_no_memory() -> None:
    budget = MemoryBudget(10)
    made = body(10, 80, budget)
    made.add(b"1")
    made.refuse(Problem("no_key", "x"))
    made.add(b"2")
    assert budget.used == 0
    with pytest.raises(Problem, match="x"):
        made.take()


def test_form_refused_early_is_released() -> None:
    budget = MemoryBudget(1000)
    made = Body(file_reader(FORM, 3), budget, 1000, 8000)
    made.add(b"--X\r\nno header")
    made.add(b"\x00\r\n" * 50)
    assert budget.used == 0
    with pytest.raises(Problem) as caught:
        made.files()
    assert caught.value.code == "bad_body"


def test_files_own_what_they_hold_of_the_memory() -> None:
    budget = MemoryBudget(1000)
    made = Body(file_reader(FORM), budget, 1000, 8000)
    made.add(TWO_FILES + b"--X--\r\n")
    counted = budget.used
    one, two = made.files()
    made.close()  # as when the client has left
    assert budget.used == counted == len(TWO_FILES) + 7
    two.memory.close()
    assert budget.used == counted - 3
    one.memory.close()
    assert budget.used == 0


def test_what_is_found_in_a_body_is_counted_beyond_its_end() -> None:
    budget = MemoryBudget(1000)
    made = body(100, 800, budget)
    made.add(b"0123456789")
    part = made.part(made.take()[0][:4])
    made.close()
    assert budget.used == 4
    part.memory.close()
    assert budget.used == 0


def test_small_pieces_become_one() -> None:
    pieces: list[bytes] = []
    for number in range(10_000):
        keep(pieces, bytes([number % 256]))
    assert b"".join(pieces) == bytes(number % 256 for number in range(10_000))
    assert len(pieces) == 3
