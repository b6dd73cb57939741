"""Stores results in S3; the first result of a job wins."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from visionfleet.aws.s3 import Store
from visionfleet.classifier.completion import Completion
from visionfleet.classifier.jobs import Done, is_provisional
from visionfleet.classifier.retrier import Retrier
from visionfleet.contract.documents import result as result_document
from visionfleet.contract.messages import Failed, Succeeded, encode
from visionfleet.contract.names import by_name_key
from visionfleet.errors import TryLater, Unfit

log = logging.getLogger("classifier")


@dataclass(frozen=True, slots=True)
class ResultWriter:
    results: Store
    by_name: bool
    completion: Completion
    stored: Callable[[Done], None]
    retrier: Retrier

    def store(self, ended: Sequence[Done]) -> None:
        for done in ended:
            self.retrier.run(done.job.delivery, partial(self._store, done))

    def _store(self, done: Done) -> None:
        if not self.completion.in_flight.holds_lease(done.job.delivery):
            return
        started = time.monotonic()
        stored = done if done.duplicate else self._store_first(done)
        self._store_by_name(stored.result)
        self.stored(replace(stored, store_seconds=time.monotonic() - started))

    def _store_first(self, done: Done) -> Done:
        """Store by a conditional put; if another worker was first, return its result."""
        document = result_document(done.result.job)
        if self.results.put_json_if(document.key, encode(done.result), None):
            return done
        first, etag = self.results.read_tagged(document)
        if etag is None:  # the other write is in progress, or failed
            raise TryLater(f"{document.key}: another write of it is under way")
        if first is not None and not (is_provisional(first) and isinstance(done.result, Succeeded)):
            return replace(done, result=first, duplicate=True)
        if not self.results.put_json_if(document.key, encode(done.result), etag):
            raise TryLater(f"{document.key}: somebody else replaced it")
        return done

    def _store_by_name(self, result: Succeeded | Failed) -> None:
        """Also store the bare label by file name; again for duplicates, if their writer died."""
        if not (self.by_name and isinstance(result, Succeeded) and result.file_name):
            return
        try:
            self.results.put(by_name_key(result.file_name), result.best.encode(), "text/plain")
        except Unfit as error:  # clients cannot look up such a name either
            log.warning("no result by name", extra={"job": result.job, "reason": str(error)})
