"""API key authentication and per-key rate limits."""

import math
from collections.abc import Callable

from visionfleet.auth.api_keys import from_headers, within
from visionfleet.auth.key_file import KeyFile
from visionfleet.web.http.rate_limit import Bucket, take
from visionfleet.web.problems import Problem

CHALLENGE = 'Bearer realm="visionfleet"'
_NO_KEY = (
    "this service asks for an API key: send it as Authorization: Bearer KEY, or as X-API-Key: KEY"
)


class Access:
    """Rate limits are per process; without `per_second`, only keys with a limit have one."""

    def __init__(self, keys: KeyFile, per_second: float | None, clock: Callable[[], float]) -> None:
        self._keys = keys
        self.per_second = per_second
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def enter(self, authorization: str, x_api_key: str) -> str:
        """Authenticate a request and count it; returns the key's name. Raises Problem."""
        key = from_headers(authorization, x_api_key)
        if not key:
            raise _refused("no_key", _NO_KEY, CHALLENGE)
        kept = self._keys.check(key)
        if kept is None:
            challenge = f'{CHALLENGE}, error="invalid_token"'
            raise _refused("wrong_key", "the API key is not known, or revoked", challenge)
        rate = kept.per_second or self.per_second
        if rate is not None:
            self._count(kept.id, rate)
        return kept.name

    def knows(self, head: bytes) -> bool:
        """Whether raw request headers contain a valid key, checked before parsing them."""
        return any(self._keys.check(key) for key in within(head))

    def _count(self, id_: str, per_second: float) -> None:
        bucket, wait = take(self._buckets.get(id_), per_second, self._clock())
        self._buckets[id_] = bucket
        if wait:
            headers = {"Retry-After": str(math.ceil(wait))}
            detail = f"this key may ask {per_second:g} times a second"
            raise Problem("rate_limited", detail, headers=headers)


def _refused(code: str, detail: str, challenge: str) -> Problem:
    return Problem(code, detail, headers={"WWW-Authenticate": challenge})
