"""The orientation alone is read, whatever else stands in the EXIF block."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visionfleet.imaging.orientation import read_orientation

Entry = tuple[int, int, int, bytes]
SHORT, LONG, ASCII, RATIONAL = 3, 4, 2, 5


def block(entries: list[Entry], order: str = "<", header: bytes = b"Exif\0\0") -> bytes:
    """Write one directory: tag, type, count, and four bytes of value or address."""
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8)
    rows = b"".join(
        struct.pack(order + "HHL", tag, kind, count) + value for tag, kind, count, value in entries
    )
    return header + start + struct.pack(order + "H", len(entries)) + rows + bytes(4)


def short(value: int, order: str = "<") -> bytes:
    return struct.pack(order + "HH", value, 0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("header", [b"", b"Exif\0\0", b"Exif\0\0Exif\0\0"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_in_both_byte_orders(order: str, header: bytes, orientation: int) -> None:
    entry = (0x0112, SHORT, 1, short(orientation, order))
    assert read_orientation(block([entry], order, header)) == orientation


@pytest.mark.parametrize(
    "odd",
    [
        (0x011A, ASCII, 4, b"72\0\0"),
        (0x011A, 7, 4, b"\xff\xff\xff\xff"),
        (0x0128, ASCII, 2, b"in\0\0"),
        (0x0213, LONG, 1, struct.pack("<L", 100_000)),
        (0x0100, 9, 1, struct.pack("<l", -1)),
        (0x013B, RATIONAL, 1, struct.pack("<L", 0xFFFFFFF0)),
        (0x8769, 9, 1, struct.pack("<l", -5)),
        (0x8825, 13, 1, struct.pack("<L", 8)),
        (0x9286, 99, 0xFFFFFFFF, bytes(4)),
    ],
    ids=lambda entry: hex(entry[0]),
)
def test_odd_exif_entries_are_skipped(odd: Entry) -> None:
    orientation = (0x0112, SHORT, 1, short(6))
    assert read_orientation(block([odd, orientation])) == 6
    assert read_orientation(block([orientation, odd])) == 6


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (1, b"\x06\0\0\0"),
        (3, b"\x06\0\0\0"),
        (4, b"\x06\0\0\0"),
        (6, b"\x06\0\0\0"),
        (8, b"\x06\0\0\0"),
        (9, b"\x06\0\0\0"),
    ],
)
def test_exif_orientation_of_any_integer_type(kind: int, value: bytes) -> None:
    assert read_orientation(block([(0x0112, kind, 1, value)])) == 6


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"Exif",
        b"Exif\0\0II*\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"http://ns.adobe.com/xap/1.0/\0<tiff:Orientation>6</tiff:Orientation>",
        block([(0x0112, SHORT, 1, short(0))]),
        block([(0x0112, SHORT, 1, short(9))]),
        block([(0x0112, ASCII, 2, b"6\0\0\0")]),
        block([(0x0112, SHORT, 1, short(6))])[:-12],
    ],
)
def test_invalid_exif_orientation_is_upright(exif: bytes) -> None:
    assert read_orientation(exif) == 1


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 0xFFFF),
            st.integers(0, 20),
            st.integers(0, 0xFFFFFFFF),
            st.binary(min_size=4, max_size=4),
        ),
        max_size=12,
    ),
    st.sampled_from("<>"),
    st.integers(0, 60),
)
def test_any_exif_block_gives_an_orientation(entries: list[Entry], order: str, cut: int) -> None:
    exif = block(entries, order)
    assert 1 <= read_orientation(exif[: max(0, len(exif) - cut)]) <= 8
