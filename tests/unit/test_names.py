"""What holds for the names of tests."""

import ast
from pathlib import Path

import pytest

from testkit import ROOT

NAME_CHARACTERS = 60
FILES = sorted((ROOT / "tests").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "tests")))
def test_test_names_have_at_most_60_characters(path: Path) -> None:
    nodes = ast.walk(ast.parse(path.read_text()))
    functions = (n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    names = [function.name for function in functions if function.name.startswith("test_")]
    assert [name for name in names if len(name) > NAME_CHARACTERS] == []
    assert len(names) == len(set(names)), "the later of two would hide the earlier"
