"""The file of API keys: replaced atomically, reloaded when it has changed."""

import fcntl
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from visionfleet.auth import api_keys
from visionfleet.auth.api_keys import ApiKey
from visionfleet.errors import BadKeys, reason_of

log = logging.getLogger("web")

CREDENTIAL = "web-keys"
# The file behind it, as the unit names it.
OF_HOST = Path("/etc/credstore/visionfleet-web-keys")
# A revoked key is refused after this time at most.
CHECK_SECONDS = 1.0

_FileVersion = tuple[int, int, int]


def find(setting: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The path of the file: the setting, else systemd's credential `web-keys`, else none."""
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if setting is not None or folder is None:
        return setting
    handed = Path(folder) / CREDENTIAL
    return handed if handed.exists() else None


def file_of_host(environment: Mapping[str, str]) -> Path | None:
    """The file from which systemd passes the credential; None outside of systemd."""
    return OF_HOST if "INVOCATION_ID" in environment else None


def load(path: Path) -> dict[str, ApiKey]:
    try:
        return api_keys.read(path.read_text())
    except (OSError, UnicodeDecodeError, BadKeys) as error:
        raise BadKeys(f"{path}: {reason_of(error)}") from error


@contextmanager
def edit(path: Path) -> Iterator[dict[str, ApiKey]]:
    """Yield the keys for editing; written back when the block ends without an exception."""
    lock = path.with_name(path.name + ".lock")
    try:
        with lock.open("a") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            found = load(path) if path.exists() else {}
            yield found
            _replace(path, api_keys.write(found.values()))
    except OSError as error:
        raise BadKeys(f"{path}: {reason_of(error)}") from error


def _replace(path: Path, text: str) -> None:
    """Replace the file, keeping owner and mode; a new one is 0600."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    new = Path(name)
    try:
        with os.fdopen(number, "w") as file:
            file.write(text)
            if path.exists():
                old = path.stat()
                os.fchmod(number, old.st_mode & 0o777)
                if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(number, old.st_uid, old.st_gid)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


class KeyFile:
    """The current keys: those `configured`, and those of the file when last readable."""

    def __init__(
        self, path: Path | None, clock: Callable[[], float], configured: Mapping[str, ApiKey]
    ) -> None:
        self._path = path
        self._clock = clock
        self._configured = dict(configured)
        self._keys = self._load()
        self._version = self._version_now()
        self._checked_at = clock()

    def __len__(self) -> int:
        return len(self._keys | self._configured)

    def check(self, key: str) -> ApiKey | None:
        if self._clock() - self._checked_at >= CHECK_SECONDS:
            self._reload_if_changed()
        return api_keys.check(key, self._configured) or api_keys.check(key, self._keys)

    def _reload_if_changed(self) -> None:
        self._checked_at = self._clock()
        version = self._version_now()
        if version == self._version:
            return
        self._version = version
        try:
            self._keys = self._load()
        except BadKeys as error:
            log.error("keys not read, the old ones stay", extra={"reason": str(error)})
            return
        log.info("keys read again", extra={"keys": len(self._keys)})

    def _load(self) -> dict[str, ApiKey]:
        return {} if self._path is None else load(self._path)

    def _version_now(self) -> _FileVersion | None:
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
