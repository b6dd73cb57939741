"""The table of what emulators do otherwise than AWS."""

from testkit import ROOT
from testkit.aws.emulator_differences import PAGE, differences


def test_each_row_of_the_table_is_read() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert len({case for _, case in differences(PAGE.read_text())}) == len(rows) > 20


def test_each_known_difference_is_a_test_or_a_case_of_one() -> None:
    tests = "".join(at.read_text() for at in (ROOT / "tests/contract/aws").glob("test_*.py"))
    cases = {case for _, case in differences(PAGE.read_text())}
    known = {each for each in cases if f'"{each}": (' in tests or f"def {each}(" in tests}
    assert cases - known == set()


def test_cell_tells_which_emulator_differs() -> None:
    head = "| test | AWS | moto | MiniStack |\n| --- | --- | --- | --- |\n"
    found = differences(f"{head}| `a b` | no | yes | |\n| `c` | 1 | | 2 |")
    assert found == {("moto", "a b"): "yes", ("ministack", "c"): "2"}
