"""An HTTP client of the web daemon with retries: follows 202, obeys Retry-After of 429 and 503, and
polls an accepted job when its connection breaks.
"""

import json
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import urllib3

LONG_POLL_SECONDS = 25.0  # proxies may time out later
BREATH_SECONDS = 0.5  # between two polls answered at once
_CONNECT_SECONDS = 10.0
_MARGIN_SECONDS = 15.0  # for the server's work beyond the requested wait
_BUSY = {429, 503}
_RETRY_AFTER = urllib3.Retry()

Response = urllib3.BaseHTTPResponse


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome for one image: no `problem` if classified; a `reason` if there is no label."""

    file: str
    seconds: float
    label: str | None = None
    score: float | None = None
    job: str | None = None
    top: tuple[dict[str, object], ...] = ()
    problem: str | None = None
    code: str | None = None
    reason: str | None = None

    @property
    def guess(self) -> str:
        if self.label is None and self.top:
            return f"unsure: {self.top[0]['label']}?"
        return self.label or ""


class Refused(Exception):
    """An image got no answer: message, problem code, and job id if there is one."""

    def __init__(self, sentence: str, code: str, job: str | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.job = job


class Client:
    """Talks to one web daemon; thread-safe. `stop` ends waits between calls.

    Unless `patient`, a busy server's first response is final.
    """

    def __init__(
        self,
        url: str,
        connections: int,
        stop: threading.Event,
        key: str | None = None,
        patient: bool = True,
    ) -> None:
        self._url = url.rstrip("/") + "/"
        self._stop, self._patient = stop, patient
        self._headers = {"Accept": "application/json"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        self._http = urllib3.PoolManager(maxsize=connections, block=False, retries=False)

    def classify(self, file: str, data: bytes, top: int, wait_seconds: float) -> Answer:
        """Upload one image and wait for its answer; never raises for a server response."""
        started = time.monotonic()
        try:
            found = self._ask(file, data, top, started + wait_seconds)
        except Refused as refused:
            seconds = time.monotonic() - started
            return Answer(file, seconds, problem=str(refused), code=refused.code, job=refused.job)
        return _answer(file, time.monotonic() - started, found)

    def _ask(self, file: str, data: bytes, top: int, deadline: float) -> dict[str, Any]:
        part = (file.rsplit("/", 1)[-1], data, "application/octet-stream")
        url, job = f"{self._url}v1/classify?top={top}&", None
        response = self._patiently("POST", url, deadline, None, {"file": part})
        while response.status == 202:
            queued = _document(response)
            job, why = queued.get("job"), queued.get("reason")
            location = urljoin(self._url, response.headers.get("Location", ""))
            if time.monotonic() >= deadline:
                late = f"no answer in time{f' ({why})' if why else ''}; it will be at {location}"
                raise Refused(late, "late", job)
            asked = time.monotonic()
            response = self._patiently("GET", f"{location}?", deadline, job, None)
            if response.status == 202:
                self._pause(asked + BREATH_SECONDS - time.monotonic(), job)
        if response.status != 200:
            raise _refusal(response, job)
        return _document(response)

    def _patiently(
        self, method: str, url: str, deadline: float, job: str | None, fields: Any
    ) -> Response:
        """Retry while the server is busy; an accepted job survives broken connections."""
        while True:
            broken = None
            try:
                response = self._send(method, url, deadline, fields)
            except urllib3.exceptions.HTTPError as error:
                broken, pause = Refused(_connection_sentence(error), "no_connection", job), 1.0
            else:
                if response.status not in _BUSY:
                    return response
                pause = _retry_after(response)
            late = not self._patient or time.monotonic() + pause > deadline
            if broken is not None and (late or job is None):
                raise broken
            if late:
                return response
            self._pause(pause, job)

    def _pause(self, seconds: float, job: str | None) -> None:
        if self._stop.wait(max(0.0, seconds)):
            raise Refused("stopped", "stopped", job)

    def _send(self, method: str, url: str, deadline: float, fields: Any) -> Response:
        wait = round(min(max(0.0, deadline - time.monotonic()), LONG_POLL_SECONDS), 1)
        return self._http.request(
            method,
            f"{url}wait={wait}",
            fields=fields,
            headers=self._headers,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=wait + _MARGIN_SECONDS),
        )


def _answer(file: str, seconds: float, found: dict[str, Any]) -> Answer:
    if found.get("status") == "failed":
        problem, job = str(found.get("reason", "failed")), found.get("job")
        return Answer(file, seconds, job=job, problem=problem, code=found.get("code"))
    known = {name: found.get(name) for name in ("label", "score", "job", "reason")}
    return Answer(file, seconds, top=tuple(found.get("top", ())), **known)


def _document(response: Response) -> dict[str, Any]:
    try:
        found = json.loads(response.data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused(f"{response.status} {response.reason}: the answer is no JSON", "no_json")
    return found


def _refusal(response: Response, job: str | None) -> Refused:
    """Parse a problem document (RFC 9457); otherwise use the status."""
    status = f"{response.status} {response.reason or ''}".strip()
    try:
        found = _document(response)
    except Refused:
        return Refused(status, f"http_{response.status}", job)
    detail = found.get("detail") or found.get("title")
    sentence = f"{status}: {detail}" if detail else status
    return Refused(sentence, found.get("code", f"http_{response.status}"), found.get("job", job))


def _retry_after(response: Response) -> float:
    """Parse Retry-After, seconds or a date; 1 s if invalid."""
    try:
        pause = _RETRY_AFTER.parse_retry_after(response.headers.get("Retry-After", "1"))
    except urllib3.exceptions.InvalidHeader:
        return 1.0
    return max(0.1, pause)


def _connection_sentence(error: Exception) -> str:
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "the host's name is not known: is the URL right?"
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return "nothing answers there: is visionfleet running?"
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError):
        return f"nothing answers there within {_CONNECT_SECONDS:g} s: is the URL right?"
    if "WRONG_VERSION_NUMBER" in str(error):
        return "this port does not speak HTTPS: use http://"
    return f"the connection broke: {error.args[-1] if error.args else error}"
