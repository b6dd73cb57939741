"""The file with the table of prices: one's own, or the one that comes with the package."""

from pathlib import Path

from visionfleet.cost.prices import PriceTable
from visionfleet.errors import BadPrices
from visionfleet.shipped import shipped


def price_table(path: Path | None) -> PriceTable:
    """Read it; raises BadPrices, which names the file and all its faults."""
    file = path or shipped("etc/prices.yaml")
    try:
        return PriceTable.read(file.read_text())
    except (OSError, UnicodeDecodeError, BadPrices) as error:
        raise BadPrices(f"{file}: {error}") from error
