"""What holds for the names of tests, and for the length of every file and function."""

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


FILE_LINES, FUNCTION_LINES = 300, 40
FOLDERS = ("lib", "daemons", "tests", "testkit", "bench")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def test_files_and_functions_are_short() -> None:
    long = []
    for path in SOURCES:
        text = path.read_text()
        if text.count("\n") > FILE_LINES:
            long.append(str(path))
        if path.is_relative_to(ROOT / "lib") or path.is_relative_to(ROOT / "daemons"):
            long += [
                f"{path}: {node.name}"
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES
            ]
    assert long == []
