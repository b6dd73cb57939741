"""The calls of S3 that each image needs, signed by botocore and sent by urllib3.

They take half the CPU of boto3's. Every answer but success is left to boto3, to try again.
"""

import logging
import re
from collections.abc import Mapping

import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest

from visionfleet.aws.whole_answers import has_length

log = logging.getLogger(__name__)

# Keys that look the same in a URL, whoever tidies it up: no dots, slashes or spaces to mind.
_PLAIN_KEY = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*")


class DirectS3:
    """Objects of one bucket, whose URL is `base_url` with the key behind it. For many threads."""

    def __init__(
        self,
        pool: urllib3.PoolManager,
        signer: S3SigV4Auth,
        base_url: str,
        headers: Mapping[str, str] = {},
    ) -> None:
        self._pool = pool
        self._signer = signer
        self._base_url = base_url
        self._headers = headers  # of every call

    def get(self, key: str) -> bytes | None:
        answer = self._call("GET", key, b"", {})
        return None if answer is None else answer.data

    def put(self, key: str, body: bytes, headers: Mapping[str, str]) -> str | None:
        """Write an object and return its ETag; None when that did not succeed."""
        answer = self._call("PUT", key, body, headers)
        return None if answer is None else answer.headers["ETag"]

    def _call(
        self, method: str, key: str, body: bytes, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse | None:
        if not _PLAIN_KEY.fullmatch(key):
            return None
        url = self._base_url + key
        request = AWSRequest(method, url, {**headers, **self._headers}, body)
        try:
            self._signer.add_auth(request)
            signed = dict(request.headers.items())
            answer = self._pool.request(
                method, url, body=body or None, headers=signed, redirect=False
            )
        except Exception as error:  # urllib3 lets some of the socket's and http.client's through
            log.debug("not direct", extra={"key": key, "reason": str(error)})
            return None
        whole = "ETag" in answer.headers and has_length(answer.headers)  # else it is not S3's
        if answer.status != 200 or not whole:
            log.debug("not direct", extra={"key": key, "status": answer.status})
            return None
        return answer
