"""The table of prices: what it knows, what it does not, and its faults."""

from pathlib import Path

import pytest

from testkit import ROOT
from visionfleet.cost.prices import Calls, PriceTable
from visionfleet.errors import BadPrices
from visionfleet.price_file import price_table

SMALL = "date: 2026-11-29\nsource: a page\nregion: eu-west-1\n"


def test_shipped_prices_have_a_date_and_a_source() -> None:
    table = price_table(None)
    assert table.words == f"us-east-1, {table.date}"
    assert "aws" in table.source
    assert table.calls is not None
    for name, price in table.instances.items():
        assert 0 < (price.spot or 0) < (price.on_demand or 0), name
    assert table == PriceTable.read((ROOT / "etc/prices.yaml").read_text())


def test_price_of_a_worker_has_what_stands_beside_it() -> None:
    table = PriceTable.read(
        f"{SMALL}instances: {{a.large: {{vcpus: 2, spot: 0.25}}}}\n"
        "beside_each_worker: {disk: 0.5, address: 1}\n"
    )
    assert table.hourly("a.large", "spot") == 1.75
    assert table.hourly("a.large", "on-demand") is None
    assert table.hourly("b.large", "spot") is None
    assert table.hourly(None, "spot") is None
    assert table.hourly("a.large", None) is None
    assert table.of_calls(Calls(sqs=5)) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file: "),
        ("- 1", "the file: "),
        ("a: [", "no YAML: "),
        (SMALL, "instances: Field required"),
        (f"{SMALL}instances: {{}}", "instances: "),
        (f"{SMALL}instances: {{a.large: {{spot: 1}}}}", "instances.a.large.vcpus: Field required"),
        (f"{SMALL}instances: {{a.large: {{vcpus: 2, spot: -1}}}}", "instances.a.large.spot: "),
        (f"{SMALL}instances: {{a.large: {{vcpus: 2, spot: .nan}}}}", "instances.a.large.spot: "),
        (f"{SMALL}instances: {{a.large: {{vcpus: 2, spott: 1}}}}", "instances.a.large.spott: "),
        (SMALL.replace("a page", "''") + "instances: {a.b: {vcpus: 1}}", "source: "),
        (SMALL.replace("2026-11-29", "tomorrow") + "instances: {a.b: {vcpus: 1}}", "date: "),
    ],
)
def test_faulty_tables_are_told_with_their_place(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(BadPrices) as refused:
        price_table(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert said in str(refused.value)


def test_prices_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadPrices, match=r"none\.yaml"):
        price_table(tmp_path / "none.yaml")
