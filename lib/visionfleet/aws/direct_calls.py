"""AWS calls that are signed and sent here, as boto3 takes ten times the CPU.

Only for the calls that each image needs. Any response but success is left to boto3, which retries
and knows the errors.
"""

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from visionfleet.aws.http_connections import HttpAnswer, HttpConnections

log = logging.getLogger(__name__)

_SUCCESSES = {200, 206}  # 206: a range of an object


class SigningKey:
    """Signature version 4, with the daily key cached. `credentials` are botocore's."""

    def __init__(self, credentials: Any, region: str, service: str) -> None:
        self._credentials, self._region, self._service = credentials, region, service
        self._kept: tuple[str, str, bytes] = ("", "", b"")

    def signed(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], now: float
    ) -> dict[str, str]:
        """All headers, with lower-case names; `path` must need no escaping and have no query."""
        frozen = self._credentials.get_frozen_credentials()
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        whole = {**headers, "x-amz-date": moment}
        if frozen.token:
            whole["x-amz-security-token"] = frozen.token
        digest = hashlib.sha256(body).hexdigest()
        if self._service == "s3":
            whole["x-amz-content-sha256"] = digest
        names = sorted(whole)
        lines = "".join(f"{name}:{' '.join(whole[name].split())}\n" for name in names)
        request = f"{method}\n{path}\n\n{lines}\n{';'.join(names)}\n{digest}"
        scope = f"{moment[:8]}/{self._region}/{self._service}/aws4_request"
        asked = hashlib.sha256(request.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{asked}"
        signature = _hmac(self._key(frozen.secret_key, moment[:8]), to_sign).hex()
        whole["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={frozen.access_key}/{scope}, "
            f"SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return whole

    def _key(self, secret: str, day: str) -> bytes:
        for_secret, for_day, key = self._kept
        if (for_secret, for_day) != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = _hmac(key, part)
            self._kept = secret, day, key
        return key


class DirectCalls:
    """Calls to one service, thread-safe. `heard` gets the Date header of each success."""

    def __init__(
        self,
        connections: HttpConnections,
        key: SigningKey,
        host: str,
        heard: Callable[[str], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._connections, self._key, self._host = connections, key, host
        self._heard, self._wall = heard, wall

    def ask(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> HttpAnswer | None:
        """The response, or None unless successful; names of `headers` are lower case."""
        try:
            answer = self._connections.exchange(self._head(method, path, body, headers), body)
        except Exception as error:  # sockets, TLS, credentials, malformed HTTP
            log.debug("not direct", extra={"path": path, "reason": str(error)})
            return None
        if answer.status not in _SUCCESSES:
            log.debug("not direct", extra={"path": path, "status": answer.status})
            return None
        self._heard(answer.headers.get("date", ""))
        return answer

    def _head(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        signed = self._key.signed(method, path, body, {**headers, "host": self._host}, self._wall())
        if body or method != "GET":
            signed["content-length"] = str(len(body))
        signed["accept-encoding"], signed["user-agent"] = "identity", "visionfleet"
        if not "".join(signed.values()).isprintable():
            raise ValueError("a header that cannot be sent")
        lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("ascii")


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
