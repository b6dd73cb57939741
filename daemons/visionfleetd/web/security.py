"""The web daemon's API keys and TLS certificate."""

import os
import ssl
import time
from collections.abc import Mapping

from visionfleet.auth import key_file
from visionfleet.auth.key_file import KeyFile
from visionfleet.config.web import WebSection
from visionfleet.errors import BadConfig, BadKeys
from visionfleet.host.loopback import is_loopback
from visionfleet.web.http.auth import Access
from visionfleet.web.http.server import tls_context
from visionfleetd.startup import end_faulty

NO_KEYS = (
    "web.auth: {why} and there are no API keys; `visionfleet keys add NAME --file {file}` makes "
    "one, and `auth: none` lets everybody in"
)


def secured(
    web: WebSection, environment: Mapping[str, str] = os.environ
) -> tuple[Access | None, ssl.SSLContext | None]:
    """Load keys (None: not required) and certificate (None: plain HTTP); exit if faulty."""
    try:
        return _access(web, environment), _tls(web)
    except (BadConfig, BadKeys) as error:
        end_faulty(error, "web")


def renew(tls: ssl.SSLContext | None, web: WebSection) -> None:
    """Reload both for new connections; first apart, as a partial load breaks the context in use."""
    if tls is not None and _tls(web) is not None:
        tls.load_cert_chain(str(web.tls_certificate), str(web.tls_key))


def _access(web: WebSection, environment: Mapping[str, str]) -> Access | None:
    path = key_file.find(web.keys_file, environment)
    known = path is not None or bool(web.keys)
    if web.auth == "none" or (web.auth == "auto" and not known and is_loopback(web.address)):
        return None
    found = KeyFile(path, time.monotonic, {kept.id: kept for kept in web.keys})
    if not len(found):
        file = web.keys_file or key_file.file_of_host(environment) or "FILE (web.keys_file)"
        raise BadConfig((NO_KEYS.format(why=_why(web), file=file),))
    return Access(found, web.key_per_second, time.monotonic)


def _why(web: WebSection) -> str:
    if web.auth == "auto" and not is_loopback(web.address):
        return f"{web.address} can be reached from outside"
    return "keys are required"


def _tls(web: WebSection) -> ssl.SSLContext | None:
    if web.tls_certificate is None or web.tls_key is None:
        return None
    try:
        return tls_context(str(web.tls_certificate), str(web.tls_key))
    except OSError as error:
        raise BadConfig((f"web.tls_certificate: {web.tls_certificate}: {error}",)) from error
