"""What a chaos run is to do, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from testkit.aws.embedded import NAME
from testkit.aws.faults import Faults

REQUESTS, DEAD = f"{NAME}-requests", f"{NAME}-requests-dead"
PICTURES = 200  # job i shows picture i % 200, so a swapped answer is a wrong one
WILD = Faults(
    reset_before=0.03,
    lost_answer=0.03,
    error=0.03,
    slow_down=0.03,
    latency=0.05,
    cut_answer=0.05,
    cut_error=0.03,
    skewed=0.02,
    received_twice=0.1,
    received_late=0.1,
    not_deleted=0.05,
    half_failed=0.1,
)
MAX_INSTANCES = 2
KILL, STOP, FREEZE, OUTAGE, CLOCK = "kill", "stop", "freeze", "outage", "clock step"


@dataclass(frozen=True)
class Plan:
    """How long and how severe the chaos is; `blows` counts them, each at any daemon."""

    jobs: int
    seed: int
    blows: Mapping[str, int]
    workers: int = 4
    runtimes: Sequence[str] = ("torch", "openvino")  # of the workers, in turn
    webs: int = 2
    scalers: int = 2  # of which one leads
    clients: int = 12
    # A job is received more often than in years of service: it must not run out of attempts.
    max_receives: int = 1000
    faults: Faults = WILD
    pause_seconds: float = 1.0  # the longest one between work seen and the next blow
    outage_seconds: float = 4.0
    freeze_seconds: float = 12.0  # the longest time; a visibility timeout is 8
    step_seconds: float = 3600.0  # of a clock, in either direction
    calm_seconds: float = 180.0  # without progress, after the last fault

    def runtime_of(self, worker: int) -> str:
        return self.runtimes[worker % len(self.runtimes)]


@dataclass
class Outcome:
    """What came of it.

    An upload is right when it was accepted and all its jobs have their one right result. A job is
    `lost` when nobody knows it any more, `stuck` while it has no result, and `wrong` with any
    but its own label, or when a key had two jobs.
    """

    jobs: int
    right: int = 0
    lost: int = 0
    stuck: int = 0
    wrong: int = 0
    accepted: int = 0
    most_attempts: int = 0
    by_runtime: dict[str, int] = field(default_factory=dict)
    requests_left: int = 0
    dead_letters: int = 0
    clients: dict[str, int] = field(default_factory=dict)  # what they did beside plain uploads
    unclean_stops: int = 0
    instances: int = 0  # at the end, launched by the scalers
    scaler_is_silent: bool = False  # none has told of the fleet since the last fault
    unexpected_ends: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    blows: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    seconds: float = 0.0

    def kept(self) -> bool:
        """Tell whether the promise was kept, and nothing is left over."""
        bad = self.lost or self.stuck or self.wrong or self.unexpected_ends or self.surprises
        bad = bad or self.scaler_is_silent or self.instances > MAX_INSTANCES
        return self.right == self.jobs and not (bad or self.requests_left or self.dead_letters)
