"""Job ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionfleet.contract.job_ids import RANDOM_BYTES, is_job_id, new_job_id

random_bytes = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(st.floats(0, 2**47 / 1000), random_bytes)
def test_job_id_has_26_base32_characters(now: float, randomness: bytes) -> None:
    assert is_job_id(new_job_id(now, randomness))


@given(st.integers(0, 2**40), st.integers(1, 2**40), random_bytes, random_bytes)
def test_job_ids_sort_by_time(at: int, later: int, first: bytes, second: bytes) -> None:
    assert new_job_id(at / 1000, first) < new_job_id((at + later) / 1000 + 0.0005, second)


@given(random_bytes, random_bytes)
def test_different_randomness_gives_different_job_ids(first: bytes, second: bytes) -> None:
    assert (new_job_id(1, first) == new_job_id(1, second)) == (first == second)


def test_too_little_randomness_is_refused() -> None:
    with pytest.raises(ValueError, match="10 random bytes, got 3"):
        new_job_id(1, b"abc")


@pytest.mark.parametrize("text", ["", "x", "../../etc/passwd", "0" * 25, "0" * 27, "O" * 26])
def test_other_text_is_no_job_id(text: str) -> None:
    assert not is_job_id(text)
