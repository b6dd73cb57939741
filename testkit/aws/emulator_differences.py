"""What emulators do otherwise than AWS, as docs/emulators.md lists it: those tests are to fail."""

import re
from collections.abc import Mapping

from testkit import ROOT

PAGE = ROOT / "docs/emulators.md"
_ROW = re.compile(r"^\| `([^`|]+)` \|([^|]+)\|([^|]+)\|([^|]+)\|$", re.MULTILINE)


def differences(text: str) -> Mapping[tuple[str, str], str]:
    """Read the table: by emulator and test, or case of a test, what the emulator does."""
    found = {}
    for case, _aws, moto, ministack in _ROW.findall(text):
        for emulator, does in (("moto", moto.strip()), ("ministack", ministack.strip())):
            if does:
                found[emulator, case] = does
    return found
