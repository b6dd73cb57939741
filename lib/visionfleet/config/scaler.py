"""The settings of the scaler, and of the fleets that it can scale."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from visionfleet.config.fields import DAYS, Day, InstanceType, Section, Subnet, TimeOfDay, TimeZone


class ScheduleWindow(Section):
    """Hours of some days in which more workers than `scaler.minimum` run."""

    days: tuple[Day, ...] = Field(DAYS, strict=False, min_length=1, description="days of the week")
    start: TimeOfDay = Field(description="from this time of day on, HH:MM")
    end: TimeOfDay = Field(description="until this time; before start: of the next day")
    minimum: int = Field(ge=0, le=1000, description="workers that run in these hours")
    timezone: TimeZone = Field("UTC", description="zone of the times, like Europe/Berlin")


class Scaler(Section):
    """The scaler daemon."""

    fleet: Literal["supervisor", "ec2"] = Field("supervisor", description="what runs the workers")
    policy: Literal["ours", "per_message"] = Field("ours", description="how the size is decided")
    minimum: int = Field(0, ge=0, le=1000, description="workers that always run")
    maximum: Annotated[int, Field(ge=1, le=1000)] | Literal["cores"] = Field(
        19, description="workers at the most; `cores`: one per core of this machine"
    )
    spare: int = Field(
        0, ge=0, le=1000, description="workers beyond what is needed, while there is work"
    )
    schedule: tuple[ScheduleWindow, ...] = Field(
        (), strict=False, description="hours with another minimum: days, start, end, minimum"
    )
    interval_seconds: float = Field(4.0, ge=0.2, le=60, description="time between two looks")
    hold_seconds: float = Field(120.0, ge=0, le=3600, description="not needed for this long: leave")
    pace_seconds: float = Field(
        30.0, ge=1, le=600, description="the arrivals of this long are the pace to keep"
    )
    target_wait_seconds: float = Field(
        10.0, ge=0.1, le=3600, description="the wait in the queue that the fleet is sized for"
    )
    boot_seconds: float = Field(60.0, ge=0, le=3600, description="boot time before one is known")
    service_seconds: float = Field(
        0.5, ge=0.001, le=3600, description="time per image and worker before one is known"
    )
    paid_seconds: float = Field(
        60.0, ge=0, le=3600, description="a started worker is paid for at least this long"
    )
    boot_limit_seconds: float = Field(
        300.0, ge=5, le=3600, description="a worker that has not reported by then is dead"
    )
    silent_seconds: float = Field(
        120.0, ge=5, le=3600, description="a worker that stopped reporting is dead after this"
    )
    lease_seconds: float = Field(
        60.0, ge=1, le=600, description="a scaler that died is replaced after this at the most"
    )
    lease_margin_seconds: float = Field(
        5.0, ge=0.1, le=60, description="a scaler stops so long before its lease ends; clock error"
    )
    housekeeping_seconds: float = Field(
        600.0, ge=1, le=86400, description="time between two searches for what the dead left behind"
    )
    metrics_port: int = Field(0, ge=0, le=65535, description="port of the metrics; 0: none")
    metrics_address: str = Field(
        "127.0.0.1", min_length=1, description="address that the metrics are served on"
    )
    publish_metrics: bool = Field(
        False, description="publish to CloudWatch what the alarms of the stack look at"
    )


class Supervisor(Section):
    """The fleet of one machine: processes that supervisor starts and stops."""

    socket: Path = Field(
        Path("/run/visionfleet/supervisor.sock"), strict=False, description="supervisor's socket"
    )
    group: str = Field("classifier", min_length=1, description="its group of classifiers")


class Ec2(Section):
    """The fleet of EC2 instances, one worker on each."""

    launch_template: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9().\-/_]{3,128}$",
        description="name or id (lt-...) of the launch template of the workers",
    )
    template_version: str = Field(
        "$Default",
        pattern=r"^(\$Default|\$Latest|[1-9][0-9]*)$",
        description="its version: a number, $Default or $Latest",
    )
    spot: bool = Field(False, description="launch spot instances")
    instance_types: tuple[InstanceType, ...] = Field(
        (), strict=False, description="types in the order of preference; none: the template's"
    )
    subnets: tuple[Subnet, ...] = Field(
        (), strict=False, description="subnets, tried in order per type; none: the template's"
    )
