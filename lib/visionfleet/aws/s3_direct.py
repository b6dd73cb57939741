"""The direct S3 calls, one or two per image."""

import re
from collections.abc import Mapping

from visionfleet.aws.direct_calls import DirectCalls
from visionfleet.aws.http_connections import HttpAnswer

# Keys that need no URL normalization: no dots, double slashes or spaces.
_PLAIN_KEY = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*")


class DirectS3:
    """Objects of one bucket; `base_path` plus the key is the URL path."""

    def __init__(self, calls: DirectCalls, base_path: str, headers: Mapping[str, str] = {}) -> None:
        self._calls = calls
        self._base_path = base_path
        self._headers = headers  # sent with every call

    def get(self, key: str, most_bytes: int | None = None) -> bytes | None:
        """An object, or its first `most_bytes` and one more; None unless successful."""
        part = {} if most_bytes is None else {"range": f"bytes=0-{most_bytes}"}
        answer = self._ask("GET", key, b"", part)
        return None if answer is None else answer.body

    def put(self, key: str, body: bytes, headers: Mapping[str, str]) -> str | None:
        """Write an object and return its ETag; None unless successful."""
        answer = self._ask("PUT", key, body, headers)
        return None if answer is None else answer.headers["etag"]

    def _ask(
        self, method: str, key: str, body: bytes, headers: Mapping[str, str]
    ) -> HttpAnswer | None:
        if not _PLAIN_KEY.fullmatch(key):
            return None
        answer = self._calls.ask(method, self._base_path + key, body, {**headers, **self._headers})
        return answer if answer and "etag" in answer.headers else None  # else not a response of S3
