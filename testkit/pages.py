"""The command lines of the pages, and which test types which: a page cannot say what fails."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache

from testkit import ROOT

# What a command begins with where it stands in a sentence; in a block of code anything may.
_WORDS = (
    r"(?:sudo |\.venv/bin/)?(?:aws|curl|journalctl|make|packer|pip|python|supervisord|systemctl|"
    r"systemd-analyze|visionfleet)"
)
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(rf"`({_WORDS} [^`\n]+)`")

MACHINE = "tests/machine/test_pages.py"
STACK = "tests/system/test_pages.py"
ACCOUNT = "tests/contract/cloudformation/test_page.py"
IMAGE = "tests/machine/image/test_image.py"

# A test that types the line, or why none does. The longest beginning that fits counts.
TYPED: Mapping[str, Mapping[str, str]] = {
    "README.md": {
        "sudo make install": MACHINE,
        "sudoedit": MACHINE,
        "sudo visionfleet provision": MACHINE,
        "sudo systemctl": MACHINE,
        "curl -F myfile=@/usr": MACHINE,
        "systemctl status": MACHINE,
        "journalctl": MACHINE,
    },
    "docs/systemd.md": {
        "sudo": MACHINE,
        "curl": MACHINE,
        "journalctl": MACHINE,
        "make uninstall": MACHINE,
        "systemctl": MACHINE,
        "systemd-analyze": MACHINE,
        "visionfleet placement": MACHINE,
    },
}
LEFT_OUT: Mapping[str, Mapping[str, str]] = {
    "docs/systemd.md": {
        "sudo make install": "README's line, which is typed there; here a wheel takes its place",
        "systemctl edit": "it opens an editor, for which systemd wants a terminal",
    },
}


@cache
def commands(page: str) -> tuple[str, ...]:
    """Give the commands of a page in their order, each as often as it stands there."""
    text = (ROOT / page).read_text()
    found: list[tuple[int, str]] = []
    for block in _FENCED.finditer(text):
        # Diagrams are indented, and files of settings begin with a section.
        if not block[1] and block[2][0] not in " [":
            found += [(block.start(), command) for command in _statements(block[2])]
    prose = _FENCED.sub(lambda block: "\n" * len(block[0]), text)  # positions stay
    blocks = tuple(command for _, command in found)
    for span in _INLINE.finditer(prose):
        if not any(command.startswith(span[1]) for command in blocks):
            found.append((span.start(), span[1]))
    return tuple(command for _, command in sorted(found, key=lambda pair: pair[0]))


def _statements(block: str) -> Iterator[str]:
    """Put together what a shell reads as one: lines that go on, documents, functions."""
    lines: list[str] = []
    for line in block.splitlines():
        lines.append(line)
        statement = "\n".join(lines)
        if not line.endswith("\\") and _is_whole(statement):
            if statement.strip():
                yield statement
            lines = []
    assert not lines, f"no shell reads this: {lines}"


def _is_whole(statement: str) -> bool:
    checked = subprocess.run(["bash", "-n"], input=statement, capture_output=True, text=True)
    return checked.returncode == 0 and not checked.stderr


def beginning(page: str, command: str) -> str | None:
    """Find the entry of a command in the lists above."""
    known = [*TYPED.get(page, ()), *LEFT_OUT.get(page, ())]
    return max(filter(command.startswith, known), key=len, default=None)


def typed_by(test: str, page: str) -> list[str]:
    """Give the commands of a page that a test has to type, in the page's order."""
    typed = TYPED[page]
    found = [one for one in commands(page) if typed.get(beginning(page, one) or "") == test]
    assert found, f"{test} types nothing of {page}"
    return found
