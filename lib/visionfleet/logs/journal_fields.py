"""Fields of journal entries. No I/O here.

After https://systemd.io/JOURNAL_NATIVE_PROTOCOL/; systemd-python would need headers to build.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

Field = tuple[str, str]

# Fields for operators' queries. All others are named VISIONFLEET_<NAME>, so that none collides with
# systemd's.
_NAMES = {
    "job": "JOB_ID",
    "worker": "WORKER_ID",
    "decision": "DECISION_ID",
    "model": "MODEL",
    "reason": "REASON",
}
# Comma-separated lists: the entry has one field value for each member.
_LISTS = {
    "jobs": "JOB_ID",
    "workers": "WORKER_ID",
    "drain": "WORKER_ID",
    "terminate": "WORKER_ID",
}
# syslog(3) priorities by Python's levels.
_PRIORITIES = ((50, 2), (40, 3), (30, 4), (20, 6))
_DEBUG = 7
_LONGEST_NAME = 64


def priority(level: int) -> int:
    return next((found for least, found in _PRIORITIES if level >= least), _DEBUG)


def fields(given: Mapping[str, str]) -> Iterator[Field]:
    for name, value in given.items():
        if name in _LISTS:
            yield from ((_LISTS[name], one) for one in value.split(",") if one)
        yield _NAMES.get(name) or _own(name), value


def _own(name: str) -> str:
    safe = re.sub(r"[^A-Z0-9_]", "_", name.upper())
    return f"VISIONFLEET_{safe}"[:_LONGEST_NAME]


def encoded(found: Iterable[Field]) -> bytes:
    return b"".join(_line(name.encode(), value.encode(errors="replace")) for name, value in found)


def _line(name: bytes, value: bytes) -> bytes:
    if b"\n" in value:
        return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name + b"=" + value + b"\n"
