"""Building blocks of the configuration's sections: their base class, and value types."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"no time zone {name!r} on this machine") from error
    return name


def _as_text(value: object) -> object:
    """Accept unquoted digits, which YAML parses as a number."""
    return str(value) if type(value) is int else value


_T = TypeVar("_T")
# YAML yields lists and strings; strict tuples and paths would refuse them.
ListOf = Annotated[tuple[_T, ...], Field(strict=False)]
Three = Annotated[tuple[float, float, float], Field(strict=False)]
FilePath = Annotated[Path, Field(strict=False)]
FileOrS3 = Annotated[str, Field(min_length=1), "a path, or s3://bucket/key"]

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
Account = Annotated[str, Field(pattern=r"^[0-9]{12}$"), BeforeValidator(_as_text)]
Bucket = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
# A port, as in 0.0.0.0:8080, has one colon; addresses of IPv6 have two at least.
Address = Annotated[
    str,
    Field(
        pattern=r"^([A-Za-z0-9_.-]+|[0-9A-Fa-f]*(:[0-9A-Fa-f.]*){2,8}(%[A-Za-z0-9_.-]+)?)$",
        json_schema_extra={"expected": "an IP address or a host name, without a port"},
    ),
]
Text = Annotated[str, Field(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
InstanceType = Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")]
Subnet = Annotated[str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$")]
Network = Annotated[IPv4Network, Field(strict=False)] | Annotated[IPv6Network, Field(strict=False)]
WebOrigin = Annotated[str, Field(pattern=r"^(\*|https?://[^/\s]+)$")]
HostName = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# As EC2 names them; the order of a list is that of preference.
Market = Literal["spot", "on-demand"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
TimeZone = Annotated[str, AfterValidator(_known_zone)]
Format = Literal["AVIF", "BMP", "GIF", "HEIF", "JPEG", "PNG", "TIFF", "WEBP"]
FORMATS: tuple[Format, ...] = get_args(Format)


class Section(BaseModel):
    """A frozen group of settings. The string below each says what it is, then when to change it."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True
    )


def what_and_when(description: str) -> tuple[str, str]:
    what, _, when = description.rpartition("\n")
    return " ".join(what.split()), when
