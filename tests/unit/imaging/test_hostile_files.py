"""Hostile and odd files: each has its answer, and none crashes the decoder."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testkit.images.hostile_files import Sample, hostile_files
from testkit.images.pictures import encoded, numbered
from testkit.images.reading import Limits, read_pixels
from visionfleet.errors import BadImage
from visionfleet.imaging.model_input import Preprocessing

LIMITS = Limits(20_000_000, 100_000_000, ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"))
HOW = Preprocessing(16, 16, (0, 0, 0), (1, 1, 1))
CORPUS = hostile_files()
SEEDS = [encoded(numbered(7, 48), f) for f in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")]


def test_hostile_file_names_are_many_and_unique() -> None:
    assert len(CORPUS) >= 40
    assert len({sample.name for sample in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("sample", CORPUS, ids=lambda sample: sample.name)
@pytest.mark.filterwarnings("default")  # a decoder may warn; it must answer
def test_hostile_files_get_their_answer(sample: Sample) -> None:
    if isinstance(sample.answer, str):
        with pytest.raises(BadImage) as caught:
            read_pixels(sample.data, LIMITS, HOW)
        assert caught.value.code == sample.answer
        return
    pixels = read_pixels(sample.data, LIMITS, HOW)
    assert pixels.shape == (16, 16, 3)
    if sample.answer is not None:
        assert np.abs(pixels[8, 8].astype(int) - sample.answer).max() <= 2


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=12),
    st.integers(0, 3000),
)
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_decode_or_are_refused(
    seed: bytes, damage: list[tuple[int, int]], kept: int
) -> None:
    data = bytearray(seed)
    for place, value in damage:
        data[place % len(data)] = value
    try:
        pixels = read_pixels(bytes(data[: max(1, len(data) - kept)]), LIMITS, HOW)
    except BadImage:
        return
    assert pixels.shape == (16, 16, 3)
