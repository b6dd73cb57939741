"""What the sections of the configuration are made of: their base, and types of their values."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _known_zone(name: str) -> str:
    """Check that the machine knows a time zone."""
    try:
        ZoneInfo(name)
    except (ValueError, ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"no time zone {name!r} on this machine") from error
    return name


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
Bucket = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
Port = Annotated[int, Field(ge=1, le=65535)]
InstanceType = Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")]
Subnet = Annotated[str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$")]
Network = Annotated[IPv4Network, Field(strict=False)] | Annotated[IPv6Network, Field(strict=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# YAML gives lists; a strict tuple would refuse them.
Three = Annotated[tuple[float, float, float], Field(strict=False)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
TimeZone = Annotated[str, AfterValidator(_known_zone)]
# Marks a string as a path, or as an address in S3, in the schema.
FILE_OR_S3 = "file-or-s3"
Format = Literal["BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"]


class Section(BaseModel):
    """A frozen group of settings; a key that is not in it is an error."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
