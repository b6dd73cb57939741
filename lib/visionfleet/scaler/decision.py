"""What the size of the fleet is decided from, and the decision. Times are seconds of one clock."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from visionfleet.scaler.cooldown import Cooldown
from visionfleet.scaler.failed_starts import FailedStarts
from visionfleet.scaler.forecast import Forecast
from visionfleet.scaler.stalled_worker import StalledWorker

if TYPE_CHECKING:  # the simulation does not import pydantic
    from visionfleet.config import Config
    from visionfleet.config.fields import Market
    from visionfleet.config.scaler import FleetTimes, ScalerSection
    from visionfleet.scaler.boots import Boot

State = Literal[
    "booting", "idle", "busy", "stuck", "crashing", "broken",
    "draining", "drained", "stopping", "failed",
]  # fmt: skip
_F = TypeVar("_F", bound=float | None)


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker. `reported_at` is None until its first report; `since` is the start of its state.

    `fault` says why it does not work: a `failed` one is restarted by its fleet, a `crashing` one
    has become ready but crashes repeatedly, a `broken` one has never become ready and will not.
    """

    name: str
    state: State
    since: float
    launched_at: float
    reported_at: float | None = None
    fault: str = ""
    market: "Market | None" = None
    handled: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """Queue counts are approximate; learned times are None if unknown; `handled` is a counter.
    `boots` ended since the last observation. `wall` is Unix time, None where `now` is.
    """

    visible: int
    in_flight: int
    workers: tuple[Worker, ...]
    boot_seconds: float | None = None
    service_seconds: float | None = None
    handled: float = 0.0
    wall: float | None = None
    market_reason: str = ""
    boots: "tuple[Boot, ...]" = ()

    @property
    def images(self) -> int:
        return self.visible + self.in_flight


@dataclass(frozen=True, slots=True)
class Policy:
    """The section `scaler` and what is derived from other sections."""

    settings: "ScalerSection"
    times: "FleetTimes"
    maximum: int
    silent_seconds: float

    @classmethod
    def of(cls, config: "Config", cores: int) -> "Policy":
        settings = config.scaler
        maximum = cores if settings.maximum == "cores" else settings.maximum
        return cls(settings, settings.times, maximum, config.classifier.silent_seconds)

    def changed(self, **settings: object) -> "Policy":
        return replace(self, settings=self.settings.model_copy(update=settings))

    def minimum_at(self, now: float) -> int:
        """The scheduled minimum at a Unix time, capped by the maximum."""
        more = [window.minimum for window in self.settings.schedule if window.holds(now)]
        return min(max([self.settings.minimum, *more]), self.maximum)


@dataclass(frozen=True, slots=True)
class History:
    """State carried between decisions. `waiting`: the last observation had visible messages."""

    cooldown: Cooldown = field(default_factory=Cooldown)
    forecast: Forecast = field(default_factory=Forecast)
    boot_seconds: float | None = None
    service_seconds: float | None = None
    at_maximum: bool = False
    waiting: bool = False
    failed_starts: FailedStarts = field(default_factory=FailedStarts)
    stalled_worker: StalledWorker = field(default_factory=StalledWorker)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now. `reason` is a sentence; `at_maximum` is true once per episode.

    `dead` are those of `terminate` that have not drained. `recheck`: observe again before
    launching, as the count may be wrong.
    """

    launch: int = 0
    drain: tuple[str, ...] = ()
    terminate: tuple[str, ...] = ()
    reason: str = ""
    at_maximum: bool = False
    dead: tuple[str, ...] = ()
    recheck: bool = False

    @property
    def changes(self) -> bool:
        return bool(self.launch or self.drain or self.terminate)


def known(learned: float | None, otherwise: _F) -> float | _F:
    return otherwise if learned is None else learned
