"""A price table: dollars by instance type and market, and by AWS call.

What it lacks is unknown, and never guessed.
"""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from visionfleet.errors import BadPrices

Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=False)]
Words = Annotated[str, Field(min_length=1)]

_MILLION = 1e6


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class InstancePrice(_Part):
    """Dollars per hour; a market left out has no known price."""

    vcpus: int = Field(ge=1)
    on_demand: Dollars | None = None
    spot: Dollars | None = None

    def of(self, market: str | None) -> float | None:
        return {"on-demand": self.on_demand, "spot": self.spot}.get(market or "")


class CallPrices(_Part):
    """Dollars per million calls."""

    s3_write: Dollars
    s3_read: Dollars
    sqs: Dollars


@dataclass(frozen=True, slots=True)
class Calls:
    """Numbers of calls: to S3 (writes and lists; reads) and to SQS."""

    s3_write: float = 0.0
    s3_read: float = 0.0
    sqs: float = 0.0

    def __mul__(self, factor: float) -> "Calls":
        return Calls(self.s3_write * factor, self.s3_read * factor, self.sqs * factor)

    def __add__(self, other: "Calls") -> "Calls":
        return Calls(
            self.s3_write + other.s3_write, self.s3_read + other.s3_read, self.sqs + other.sqs
        )

    @property
    def count(self) -> float:
        return self.s3_write + self.s3_read + self.sqs


class PriceTable(_Part):
    """`beside_each_worker`: further dollars per hour by name, such as a disk or an address."""

    date: date
    source: Words
    region: Words
    instances: dict[str, InstancePrice] = Field(min_length=1)
    beside_each_worker: dict[str, Dollars] = {}
    calls: CallPrices | None = None

    @classmethod
    def read(cls, text: str) -> Self:
        """Parse a YAML table; raises BadPrices with all faults."""
        try:
            return cls.model_validate(yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise BadPrices(f"no YAML: {' '.join(str(error).split())}") from error
        except ValidationError as error:
            raise BadPrices("; ".join(_faults(error))) from error

    @property
    def words(self) -> str:
        return f"{self.region}, {self.date}"

    def hourly(self, instance_type: str | None, market: str | None) -> float | None:
        """Dollars per hour of one worker with its extras; None if unknown."""
        priced = self.instances.get(instance_type or "")
        dollars = None if priced is None else priced.of(market)
        return None if dollars is None else dollars + sum(self.beside_each_worker.values())

    def of_calls(self, calls: Calls) -> float | None:
        """Dollars of these calls; None if they have no price."""
        price = self.calls
        if price is None:
            return None
        writes, reads = calls.s3_write * price.s3_write, calls.s3_read * price.s3_read
        return (writes + reads + calls.sqs * price.sqs) / _MILLION


def _faults(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}"
        for fault in error.errors()
    ]
