"""The settings of the web daemon."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from visionfleet.auth.api_keys import Kept
from visionfleet.config.fields import Network, Port, Section


class Web(Section):
    """The web daemon."""

    address: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: Port = Field(8080, description="port to listen on")
    share_port: bool = Field(False, description="let several web processes listen on the port")
    auth: Literal["auto", "keys", "none"] = Field(
        "auto", description="who may ask; auto: keys, but on loopback only if there are any"
    )
    keys: tuple[Kept, ...] = Field(
        (), strict=False, description="hashed API keys, as the lines of the file; beside the file"
    )
    keys_file: Path | None = Field(
        None, strict=False, description="API keys, hashed; empty: systemd's credential web-keys"
    )
    key_per_second: float | None = Field(
        None, gt=0, le=1e6, description="requests that one key may make, if it has no own rate"
    )
    tls_certificate: Path | None = Field(
        None, strict=False, description="PEM file with the certificate and its chain"
    )
    tls_key: Path | None = Field(None, strict=False, description="PEM file with its key")
    trusted_proxies: tuple[Network, ...] = Field(
        (), strict=False, description="networks of the proxies whose X-Forwarded-For is believed"
    )
    plain_reply: str = Field(
        "{label}", pattern=r"\{label\}", description="answer to plain clients: {label}, {stem}"
    )
    plain_wait_seconds: float = Field(
        300.0, ge=1, le=3600, description="a plain POST / waits this long for its label"
    )
    wait_seconds: float = Field(30.0, ge=0, le=3600, description="wait when none is asked for")
    max_wait_seconds: float = Field(300.0, ge=0, le=3600, description="longest wait to ask for")
    max_files: int = Field(32, ge=1, le=100, description="files in one request")
    max_waiting: int = Field(
        5000, ge=1, le=1000000, description="requests that one process has in hand at most"
    )
    max_queue_seconds: float | None = Field(
        3600.0, ge=1, le=1209600, description="uploads are refused when they would wait longer"
    )
    max_held_bytes: int = Field(
        268435456, ge=1048576, le=1 << 40, description="bytes of uploads in memory of one process"
    )
    header_seconds: float = Field(
        15.0, ge=1, le=300, description="a new connection sends its first headers in this time"
    )
    body_bytes_per_second: int = Field(
        1024, ge=0, le=1 << 30, description="a body that comes more slowly is given up"
    )
    expire_seconds: float | None = Field(
        None, ge=1, le=1209600, description="work older than this is answered as expired"
    )
    threads: int = Field(32, ge=2, le=256, description="calls to AWS at the same time")
    unready_seconds: float = Field(
        0.0, ge=0, le=300, description="at a stop: time between being unready and taking no more"
    )
    cors_origins: tuple[Annotated[str, Field(pattern=r"^(\*|https?://[^/\s]+)$")], ...] = Field(
        (), strict=False, description="origins whose pages may use the API; *: all"
    )
    cache: bool = Field(
        False, description="answer bytes that this model has seen before from S3, without a worker"
    )
    cache_trust_seconds: float = Field(
        120.0, ge=1, le=3600, description="a model is in use this long after a worker has said so"
    )
    upload_expire_seconds: int = Field(
        900, ge=60, le=43200, description="to put a file into S3 that POST /v1/uploads has allowed"
    )
    metrics_port: int = Field(
        0, ge=0, le=65000, description="port of the metrics, or the next that is free; 0: none"
    )
    metrics_address: str = Field(
        "127.0.0.1", min_length=1, description="address that the metrics are served on"
    )
    stop_seconds: float = Field(20.0, ge=0, le=600, description="to answer what waits, at a stop")
