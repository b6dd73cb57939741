"""The settings of the scaler, and of the fleets that it can scale."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from visionfleet.config.fields import (
    DAYS,
    Day,
    FilePath,
    InstanceType,
    ListOf,
    Market,
    Section,
    Subnet,
    TimeOfDay,
    TimeZone,
)

FleetKind = Literal["systemd", "supervisor", "ec2"]


@dataclass(frozen=True, slots=True)
class FleetTimes:
    """`pace_seconds` is the shortest window of arrivals. `boot_seconds` is the prior of the boot
    time; a worker without a report after `boot_limit_seconds` is dead.
    """

    pace_seconds: float
    boot_seconds: float
    boot_limit_seconds: float


FLEET_TIMES: Mapping[FleetKind, FleetTimes] = {
    "ec2": FleetTimes(30.0, 60.0, 300.0),
    # Slow machines need some ten seconds to load torch; after two minutes the process hangs.
    "systemd": FleetTimes(10.0, 5.0, 120.0),
    "supervisor": FleetTimes(10.0, 5.0, 120.0),
}


class ScheduleWindow(Section):
    """Hours of some days in which more workers than `scaler.minimum` run."""

    days: ListOf[Day] = Field(DAYS, min_length=1)
    start: TimeOfDay
    """From this time of day on, HH:MM."""
    end: TimeOfDay
    """Until this time; before start: of the next day."""
    minimum: int = Field(ge=0, le=1000)
    timezone: TimeZone = "UTC"
    """Zone of the times, like Europe/Berlin."""

    def holds(self, now: float) -> bool:
        """Whether it contains a Unix time; one that ends before its start goes on the next day."""
        local = datetime.fromtimestamp(now, ZoneInfo(self.timezone))
        time, weekday = f"{local:%H:%M}", local.weekday()
        today, yesterday = DAYS[weekday] in self.days, DAYS[weekday - 1] in self.days
        if self.start < self.end:
            return today and self.start <= time < self.end
        return today if time >= self.start else yesterday and time < self.end


class ScalerSection(Section):
    """The scaler daemon."""

    fleet: FleetKind = "systemd"
    """What runs the workers: systemd (units of this machine), supervisor (processes of this
    machine), or ec2 (instances).
    Your fleet is on EC2, or you have no systemd."""
    policy: Literal["pace", "per_message"] = "pace"
    """Scaling policy: pace (follow the arrival rate), or per_message (one worker per waiting
    image).
    You want the simplest rule, and accept its cost."""
    minimum: int = Field(0, ge=0, le=1000)
    """Workers that run even without work.
    You cannot wait for a cold start."""
    maximum: Annotated[int, Field(ge=1, le=1000)] | Literal["cores"] = 19
    """Maximum of workers; `cores`: one per core of this machine.
    Always: it limits what the fleet may cost."""
    spare: int = Field(0, ge=0, le=1000)
    """Workers beyond those needed while there is work; they answer without a cold start.
    You have bursts that must not wait."""
    schedule: ListOf[ScheduleWindow] = ()
    """Hours with a higher minimum: {days: [mon, fri], start: "08:00", end: "18:00", minimum: 2,
    timezone: UTC}.
    You know when the work comes."""
    interval_seconds: float = Field(4.0, ge=0.2, le=60)
    """Interval at which queue and fleet are observed.
    SQS calls cost you nothing, or you want fewer of them."""
    hold_seconds: float = Field(120.0, ge=0, le=3600)
    """Cooldown: time after which a worker that was not needed leaves. A quarter to twice this time
    is used, whichever would recently have cost least.
    Your workers start in seconds: less."""
    target_wait_seconds: float = Field(10.0, ge=0.1, le=3600)
    """Wait in the queue that the fleet is sized for.
    You want faster answers, or lower cost."""
    service_seconds: float = Field(0.5, ge=0.001, le=3600)
    """Seconds per image of a worker, until a worker has reported it.
    Your model is much slower."""
    paid_seconds: float = Field(60.0, ge=0, le=3600)
    """Minimum time that is billed for a started worker, which is kept that long.
    You are billed without a minimum, or not at all, as on one machine: 0."""
    lease_seconds: float = Field(60.0, ge=1, le=600)
    """Leader lease: how long one scaler holds it; after that another replaces a dead one.
    You want another scaler to take over sooner."""
    housekeeping_seconds: float = Field(600.0, ge=1, le=86400)
    """Interval of garbage collection: removing queues and objects of dead processes.
    You have very many objects to list, or want to try it out."""
    prices_file: FilePath | None = None
    """Price table for cost figures; null: the one for us-east-1 that comes with visionfleet.
    You want to know the fleet's cost in another region or with a discount."""
    metrics_port: int = Field(0, ge=0, le=65535)
    """Port of the scaler's metrics; 0: no metrics.
    You use Prometheus."""

    @property
    def times(self) -> FleetTimes:
        return FLEET_TIMES[self.fleet]

    @property
    def lease_margin_seconds(self) -> float:
        """A scaler stops acting so long before its lease ends: longer than a step's last call."""
        return max(0.5, self.lease_seconds / 12)


class SupervisorSection(Section):
    """The fleet of one machine: processes that supervisor starts and stops."""

    socket: FilePath = Path("/run/visionfleet/supervisor.sock")
    """Unix socket of supervisor's RPC interface.
    You run your own supervisor, or two stacks on one machine."""


class Ec2Section(Section):
    """The fleet of EC2 instances, one worker on each."""

    launch_template: str | None = Field(None, pattern=r"^[a-zA-Z0-9().\-/_]{3,128}$")
    """Name or id (lt-...) of the workers' launch template; required with scaler.fleet: ec2.
    You have a fleet on EC2."""
    template_version: str = Field("$Default", pattern=r"^(\$Default|\$Latest|[1-9][0-9]*)$")
    """Version of the template: a number, $Default or $Latest.
    You want an update of the template to start a rolling update of the fleet."""
    markets: ListOf[Market] = Field(("on-demand",), min_length=1)
    """Markets in order of preference: [spot, on-demand] launches on demand what spot refuses.
    You want to pay less, and can lose a worker at any time."""
    instance_types: ListOf[InstanceType] = ()
    """Instance types in order of preference; none: the template's type.
    You use spot instances, or types that may be out of capacity."""
    subnets: ListOf[Subnet] = ()
    """Subnets, tried in this order before the next type; none: the template's subnet.
    You want more than one availability zone."""
