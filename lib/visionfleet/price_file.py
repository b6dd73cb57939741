"""Loads the price table: the operator's, or the one shipped with the package."""

from pathlib import Path

from visionfleet.cost.prices import PriceTable
from visionfleet.errors import BadPrices, reason_of
from visionfleet.shipped import shipped


def price_table(path: Path | None) -> PriceTable:
    """Load it; raises BadPrices with the file's name and all faults."""
    file = path or shipped("etc/prices.yaml")
    try:
        return PriceTable.read(file.read_text())
    except (OSError, UnicodeDecodeError, BadPrices) as error:
        raise BadPrices(f"{file}: {reason_of(error)}") from error
