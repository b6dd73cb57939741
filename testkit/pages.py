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
_INLINE = re.compile(rf"`({_WORDS}\s[^`]{{1,200}})`")

MACHINE = "tests/machine/test_pages.py"
STACK = "tests/system/test_pages.py"
ACCOUNT = "tests/contract/cloudformation/test_page.py"
IMAGE = "tests/machine/image/conftest.py"

# A test that types the line, or why none does. The longest beginning that fits counts.
TYPED: Mapping[str, Mapping[str, str]] = {
    "docs/ami.md": {"make ami  ": IMAGE},
    "docs/aws.md": {
        "export AWS_DEFAULT_REGION": ACCOUNT,
        "VPC=": ACCOUNT,
        "CIDR=": ACCOUNT,
        "ZONES=": ACCOUNT,
        "SUBNETS=": ACCOUNT,
        "echo": ACCOUNT,
        "aws iam": ACCOUNT,
        "mkdir -p build && git archive": ACCOUNT,
        "IMAGE=": ACCOUNT,
        "KEY=": ACCOUNT,
        "WEB_KEYS=": ACCOUNT,
        "cat > stack.json": ACCOUNT,
        "aws cloudformation": ACCOUNT,
        "output": ACCOUNT,
        ".venv/bin/visionfleet": ACCOUNT,
        "visionfleet dead list": ACCOUNT,
        "visionfleet keys revoke": ACCOUNT,
        "HOST=": ACCOUNT,
        "aws s3 cp": ACCOUNT,
        "aws autoscaling": ACCOUNT,
        "aws ec2 describe-instances": ACCOUNT,
    },
    "README.md": {
        "sudo make install": MACHINE,
        "sudoedit": MACHINE,
        "sudo visionfleet provision": MACHINE,
        "sudo systemctl": MACHINE,
        "curl -F myfile=@/usr": MACHINE,
        "systemctl status": MACHINE,
        "journalctl": MACHINE,
        "make run": STACK,
        "curl": STACK,
        ".venv/bin/visionfleet": STACK,
        "visionfleet": STACK,
        "make ami": IMAGE,
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
    "docs/ami.md": {
        "make ami AMI_VARIABLES": "the same bake; test_template.py has Packer check variables",
        "make lock": "it asks PyPI; test_locks.py checks what it wrote",
        "make bake-twice": "it takes minutes, some gigabytes from PyPI, and 8 of memory",
        "packer build": "it stands there as what `make ami` runs",
        "packer init": "newer versions of Packer alone know it, and fetch a plugin",
        "make install": "it stands there as what the bake runs",
        "visionfleet instance": "it runs at the boot of each image that is tested",
        "aws ec2 get-console-output": "it stands there without an instance",
    },
    "docs/aws.md": {
        "ME=": "it asks a host of the internet for one's own address",
        "packer init": "newer versions of Packer alone know it, and fetch a plugin",
        "packer build": "as `make ami` in the page on the image, where it is typed",
        "aws s3 rb": "it deletes what the other commands need",
        "aws ec2 deregister-image": "it stands there without an image",
        "curl": "the instances of an emulator are no machines",
        "aws ec2 get-console-output": "it stands there without an instance",
        "aws ec2 terminate-instances": "it stands there without an instance",
        "aws cloudformation deploy --no-execute-changeset": "as above with one word more",
        ".venv/bin/visionfleet provision --config FILE": "it stands there without a file",
        "visionfleet status": "it stands there for the same with --config",
        ".venv/bin/visionfleet status --watch": "as without --watch, which never ends",
    },
    "README.md": {
        "make test": "these are the tests",
        "make demo": "half a minute more of what `make run` starts; tests/unit/cli/test_demo.py",
        "make bench-chaos": "it takes an hour, and measures",
        "python -m bench": "it wants the sample photos, and measures",
        ".venv/bin/python -m pytest": "these are the tests",
        "systemctl reload": "it stands there without a unit; typed from the page on systemd",
        "aws cloudformation deploy": "the page on AWS has it whole",
    },
    "docs/systemd.md": {
        "sudo make install": "README's line, which is typed there; here a wheel takes its place",
        "make install": "it stands there as what is typed above",
        "make release": "tests/daemons/cli/test_release.py makes the wheel",
        "visionfleet install": "it stands there as what is typed above",
        "python -m pytest": "these are the tests",
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
            found += [(block.start(), command) for command in statements(block[2])]
    prose = _FENCED.sub(lambda block: "\n" * len(block[0]), text)  # positions stay
    blocks = tuple(command for _, command in found)
    for span in _INLINE.finditer(prose):
        command = " ".join(span[1].split())
        if not any(block.startswith(command) for block in blocks):
            found.append((span.start(), command))
    return tuple(command for _, command in sorted(found, key=lambda pair: pair[0]))


def statements(block: str) -> Iterator[str]:
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
