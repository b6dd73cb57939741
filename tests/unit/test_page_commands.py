"""Each command line of the first pages is typed by a test, or it says why not."""

import pytest

from testkit import ROOT, pages

PAGES = ("README.md", "docs/aws.md", "docs/ami.md", "docs/systemd.md")


@pytest.mark.parametrize("page", PAGES)
def test_each_command_is_typed_or_says_why_not(page: str) -> None:
    found = pages.commands(page)
    assert len(found) >= 8
    assert [command for command in found if pages.beginning(page, command) is None] == []


@pytest.mark.parametrize("page", PAGES)
def test_lists_name_only_what_the_page_says(page: str) -> None:
    used = {pages.beginning(page, command) for command in pages.commands(page)}
    typed, left_out = pages.TYPED[page], pages.LEFT_OUT[page]
    assert (typed.keys() | left_out.keys()) - used == set()
    assert typed.keys() & left_out.keys() == set()
    assert [why for why in left_out.values() if len(why.split()) < 4] == []


@pytest.mark.parametrize("page", PAGES)
def test_tests_that_type_a_page_ask_for_all_of_it(page: str) -> None:
    for test in set(pages.TYPED[page].values()):
        constant = next(name for name, value in vars(pages).items() if value == test)
        assert f'typed_by(pages.{constant}, "{page}")' in (ROOT / test).read_text(), test


def test_statements_that_go_on_are_read_as_one() -> None:
    block = "a \\\n  b\nc |\n  d\ncat <<END\nx\nEND\nf() {\n  g\n}\n"
    assert list(pages.statements(block)) == [
        "a \\\n  b",
        "c |\n  d",
        "cat <<END\nx\nEND",
        "f() {\n  g\n}",
    ]
