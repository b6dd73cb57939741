"""Credentials that outlast a failure of their source, and are found anew once AWS refuses them.

botocore's fail ten minutes before they expire, one call after the other, if the source does not
answer; and what it has found it keeps, though a file was replaced meanwhile or a role made anew.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from visionfleet.logs.episode import Episode

log = logging.getLogger(__name__)

_REFUSED = {
    "400",  # all that an answer to HEAD says of an expired token
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidToken",
    "RequestExpired",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
}
ASK_SECONDS = 10.0


class LastingCredentials:
    """Botocore's credentials, or those that `find` finds later: None if there are none.

    The source is asked every 10 seconds at most, by one thread; others go on with the last ones.
    """

    def __init__(
        self, found: Any, find: Callable[[], Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._found, self._find, self._clock = found, find, clock
        self._lock = threading.Lock()
        self._frozen: Any = None
        self._ask_at = self._find_at = clock()
        self._outage = Episode(log, "credentials not renewed")
        self._refusal = Episode(log, "credentials refused")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found, name)

    def get_frozen_credentials(self) -> Any:
        if self._frozen is None or self._clock() >= self._ask_at:
            self._ask()
        return self._frozen

    def heard(self, parsed: Mapping[str, Any], **_: Any) -> None:
        """Look at a parsed response, as a botocore event."""
        code = str(parsed.get("Error", {}).get("Code", ""))
        if code not in _REFUSED:
            self._refusal.succeeded()
            return
        self._refusal.failed(code)
        if self._clock() >= self._find_at:
            self._find_at = self._clock() + ASK_SECONDS
            self._found = self._find() or self._found
            self._ask_at = self._clock()

    def _ask(self) -> None:
        if not self._lock.acquire(blocking=self._frozen is None):
            return
        try:
            self._frozen = self._found.get_frozen_credentials()
            self._outage.succeeded()
        except Exception as error:
            if self._frozen is None:
                raise
            self._outage.failed(error)
        finally:
            self._ask_at = self._clock() + ASK_SECONDS
            self._lock.release()


class CredentialProvider:
    """What a botocore session asks for its credentials; `resolver` is botocore's own."""

    def __init__(self, resolver: Any) -> None:
        self._resolver = resolver

    def load_credentials(self) -> LastingCredentials | None:
        find: Callable[[], Any] = self._resolver.load_credentials
        found = find()
        return None if found is None else LastingCredentials(found, find)
