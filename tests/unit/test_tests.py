"""Habits that make tests fail on a busy machine, and what to use in their place."""

import re

import pytest

from testkit import ROOT

READS_ONCE = r"\.(count|get_attribute|\w+_contents?|inner_\w+|input_value|is_\w+)\("
HABITS = [
    ("browser", READS_ONCE, "expect() waits for what the page comes to show"),
    (
        "",
        r"\bprocess_time\(",
        "testkit.processes.cpu_time leaves the collector out, and tries again",
    ),
    (
        "",
        r'bind\(\("127\.0\.0\.1", 0\)\)',
        "testkit.processes.ports gives ports to one process each",
    ),
]


@pytest.mark.parametrize(("folder", "habit", "instead"), HABITS)
def test_tests_stand_a_busy_machine(folder: str, habit: str, instead: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted((ROOT / "tests" / folder).rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(habit, line) and path.name != "test_tests.py"
    ]
    assert found == [], instead
