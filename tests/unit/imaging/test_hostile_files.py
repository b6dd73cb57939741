"""Hostile and odd files: each has its answer, and none crashes the decoder."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from testkit.images.hostile_files import Sample, hostile_files, middle
from testkit.images.pictures import encoded, numbered
from visionfleet.errors import BadImage
from visionfleet.imaging.decode import Limits, decode

LIMITS = Limits(20_000_000, 50_000_000, ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"))
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
            decode(sample.data, LIMITS)
        assert caught.value.code == sample.answer
        return
    image = decode(sample.data, LIMITS)
    assert image.mode == "RGB"
    if sample.answer is not None:
        assert all(abs(a - b) <= 2 for a, b in zip(middle(image), sample.answer, strict=True))


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
        image = decode(bytes(data[: max(1, len(data) - kept)]), LIMITS, shorter_side=16)
    except BadImage:
        return
    assert isinstance(image, Image.Image)
    assert image.mode == "RGB"
