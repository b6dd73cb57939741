"""Puts objects into S3 as browsers do: by a form, whose one signature is good for many of them.

A client of boto3 signs, resolves and parses each call anew, for two milliseconds of CPU. What goes
wrong with a form is left to such a client, which knows when to try again.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import urllib3

from visionfleet.aws import proxied
from visionfleet.errors import VisionfleetError
from visionfleet.store import Store, Target, file_name_metadata

log = logging.getLogger("web")

# A form is good for longer, so that none expires on its way; and role credentials, which sign it,
# are renewed minutes before they end.
RENEW_SECONDS = 60.0
GOOD_SECONDS = 300


@dataclass(frozen=True, slots=True)
class _Signed:
    """A form and when it was signed; None while forms are of no use."""

    target: Target | None
    at: float


class FormPosts:
    """Puts objects under one prefix of a store, from many threads.

    After a failure forms rest until the next is due. POST Object is described in the API
    reference of S3, its policy under "POST policy"; it needs s3:PutObject, as a put does.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        pool: urllib3.PoolManager,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._pool = pool
        self._clock = clock
        self._signing = threading.Lock()
        self._signed: _Signed | None = None

    def put(self, key: str, body: bytes, content_type: str, file_name: str) -> None:
        """Write an object, over any that is there; raises TryLater and GiveUp."""
        metadata, target = file_name_metadata(file_name), self._target()
        if target is not None:
            fields = {"key": key, "Content-Type": content_type}
            # What the policy names must be in the form, were it empty.
            fields["x-amz-meta-file-name"] = metadata.get("file-name", "")
            if self._post(target, fields, body):
                return
        self._store.put(key, body, content_type, metadata)

    def _target(self) -> Target | None:
        with self._signing:
            now = self._clock()
            if self._signed is None or now - self._signed.at >= RENEW_SECONDS:
                self._signed = _Signed(self._sign(), now)
            return self._signed.target

    def _sign(self) -> Target | None:
        try:
            target = self._store.target_under(self._prefix, GOOD_SECONDS)
        except VisionfleetError as error:  # no credentials just now
            log.debug("form not signed", extra={"reason": str(error)})
            return None
        return None if proxied(target.url) else target

    def _post(self, target: Target, fields: Mapping[str, str], body: bytes) -> bool:
        form: dict[str, str | bytes | tuple[str, str | bytes, str]] = {**target.fields, **fields}
        form["file"] = ("image", body, fields["Content-Type"])  # S3 ignores what comes after it
        try:
            answer = self._pool.request("POST", target.url, fields=form, retries=False)
        except urllib3.exceptions.HTTPError as error:
            return self._rest(str(error))
        if answer.status == 204:
            return True
        return self._rest(f"status {answer.status}: {answer.data[:300]!r}")

    def _rest(self, reason: str) -> bool:
        log.info("form post failed, put instead", extra={"reason": reason})
        with self._signing:
            self._signed = _Signed(None, self._clock())
        return False
