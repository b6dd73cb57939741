"""The conditions of a simulation."""

from dataclasses import dataclass, field

from visionfleet.simulation.markets import MarketConditions


@dataclass(frozen=True, slots=True)
class Conditions:
    """`boot_spread` is the standard deviation of the log of the boot time.

    Counts are `lag_seconds` old, off by a relative error of up to `noise`, and 1 or 2 too high in a
    share `phantoms` of the observations. A share `refused` of the workers of a launch is not
    provided. `crashes_per_hour` is per worker; `call_seconds` is the duration of an AWS call. A
    busy worker that is terminated has `grace_seconds` for its image. Images go to random workers,
    as with SQS, or, if `packed`, to the one that finished last.
    """

    service_seconds: float = 0.5
    call_seconds: float = 0.02
    boot_seconds: float = 45.0
    boot_spread: float = 0.25
    lag_seconds: int = 10
    noise: float = 0.05
    phantoms: float = 0.01
    refused: float = 0.0
    crashes_per_hour: float = 0.0
    visibility_seconds: int = 60
    report_seconds: int = 20
    drain_seconds: int = 5
    grace_seconds: float = 0.0
    packed: bool = False
    minimum_billed_seconds: int = 60
    market: MarketConditions = field(default_factory=MarketConditions)
    seed: int = 1
