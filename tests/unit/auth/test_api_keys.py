"""API keys: their form, their hashes, their file."""

import pytest

from visionfleet.auth import api_keys
from visionfleet.errors import BadKeys

RANDOM = bytes(range(api_keys.ID_BYTES + api_keys.SECRET_BYTES + api_keys.SALT_BYTES))


def test_api_key_matches_only_itself() -> None:
    key, kept = api_keys.make("ann", RANDOM, 5.5, None)
    file = api_keys.read(api_keys.write([kept]))
    assert api_keys.check(key, file) == kept
    assert kept.name == "ann"
    for wrong in ("", key[:-1], key[:-1] + "g", key.upper(), key.replace("_0001", "_0002"), "vf_x"):
        assert api_keys.check(wrong, file) is None
    changed = key[:-1] + ("0" if key[-1] != "0" else "1")
    assert api_keys.check(changed, file) is None


def test_key_file_holds_no_secret() -> None:
    key, kept = api_keys.make("ann", RANDOM, 0, 2.5)
    text = api_keys.write([kept])
    assert key.rsplit("_", 1)[-1] not in text
    other_salt = RANDOM[:-1] + b"\0"
    assert api_keys.make("ann", other_salt, 0, None)[1].sha256 != kept.sha256


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "x" * 65])
def test_bad_key_names_are_refused(name: str) -> None:
    with pytest.raises(BadKeys):
        api_keys.make(name, RANDOM, 0, None)


def test_faulty_key_file_names_the_line() -> None:
    text = api_keys.write([api_keys.make("ann", RANDOM, 0, None)[1]])
    assert len(api_keys.read("# mine\n\n" + text)) == 1
    for more, line in (("{", 2), (text, 2), ('{"id": "x"}', 2)):
        with pytest.raises(BadKeys, match=f"line {line}"):
            api_keys.read(text + more)


@pytest.mark.parametrize(
    ("authorization", "x_api_key", "key"),
    [
        ("Bearer abc", "", "abc"),
        ("bearer  abc ", "other", "abc"),
        ("", " abc ", "abc"),
        ("Basic abc", "", ""),
        ("Basic abc", "mine", "mine"),
        ("Bearer", "", ""),
        ("", "", ""),
    ],
)
def test_api_key_is_read_from_the_request_headers(
    authorization: str, x_api_key: str, key: str
) -> None:
    assert api_keys.from_headers(authorization, x_api_key) == key


def test_keys_are_found_anywhere_in_a_head_and_few_are_enough() -> None:
    key, _ = api_keys.make("ann", bytes(range(53)), 0, None)
    for header in (f"Authorization: Bearer {key}", f"x-api-key:{key}"):
        assert api_keys.within(f"GET / HTTP/1.1\r\n{header}\r\n\r\n".encode()) == [key]
    assert api_keys.within(b"GET / HTTP/1.1\r\nX-API-Key: vf_1\r\n\r\n") == []
    assert len(api_keys.within(key.encode() * 100)) == 3
