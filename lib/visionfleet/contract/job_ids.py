"""Job ids: unique, and sortable by time. No I/O here."""

import re

# Crockford's base 32, without ambiguous letters, as in the ULID specification: 48 bits of
# milliseconds, then 80 random bits, 26 characters in all.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_BITS, _RANDOM_BITS, _LENGTH = 48, 80, 26
PATTERN = f"[0-7][{_ALPHABET}]{{{_LENGTH - 1}}}"
_PATTERN = re.compile(PATTERN)

RANDOM_BYTES = _RANDOM_BITS // 8


def new_job_id(now: float, randomness: bytes) -> str:
    """Make an id; raises ValueError unless there are `RANDOM_BYTES` random bytes."""
    if len(randomness) != RANDOM_BYTES:
        raise ValueError(f"a job id needs {RANDOM_BYTES} random bytes, got {len(randomness)}")
    milliseconds = int(now * 1000) & ((1 << _TIME_BITS) - 1)
    number = milliseconds << _RANDOM_BITS | int.from_bytes(randomness, "big")
    return "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_LENGTH)))


def is_job_id(text: str) -> bool:
    """Whether `text` has the form of a job id; anything else never reaches S3."""
    return _PATTERN.fullmatch(text) is not None
