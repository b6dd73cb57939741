"""What a simulated world is like."""

from dataclasses import dataclass, field

from visionfleet.simulation.markets import MarketConditions
from visionfleet.simulation.starts import StoppedTier


@dataclass(frozen=True, slots=True)
class Conditions:
    """`boot_spread` is the deviation of the boot time's logarithm. Counts are `lag_seconds` old,
    wrong by a share of up to `noise`, and one or two too high in a share `phantoms` of the looks.
    Of a launch, a share `refused` of the workers is not had. `crashes_per_hour` is per worker, and
    a call of it to AWS takes `call_seconds`. A worker that is ended while busy has `grace_seconds`
    for its image. Any worker may get an image, as with SQS, or if `packed` who finished last.
    """

    service_seconds: float = 0.5
    call_seconds: float = 0.02
    boot_seconds: float = 45.0
    boot_spread: float = 0.25
    stopped: StoppedTier = field(default_factory=StoppedTier)
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
