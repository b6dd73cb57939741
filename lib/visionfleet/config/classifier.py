"""The settings of the workers: which model they load, and how they work."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from visionfleet.config.fields import FILE_OR_S3, Section, Sha256, Three


class Model(Section):
    """The model that every worker loads. Files are never unpickled."""

    name: str = Field(
        "default",
        pattern=r"^[a-z0-9][a-z0-9_.-]*$",
        description="default, a torchvision architecture (resnet18), or a name for your file",
    )
    directory: Path = Field(
        Path("/usr/share/visionfleet/models"),
        strict=False,
        description="where the default model and placed weights are",
    )
    path: str | None = Field(
        None,
        min_length=1,
        json_schema_extra={"format": FILE_OR_S3},
        description="a file of your own, or s3://bucket/key: TorchScript, exported, state dict",
    )
    sha256: Sha256 | None = Field(None, description="SHA-256 of that file, required with it")
    labels: str | None = Field(
        None,
        min_length=1,
        json_schema_extra={"format": FILE_OR_S3},
        description="labels of that file, one a line or JSON, required with it; s3:// as well",
    )
    architecture: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9_]*$",
        description="network of a state dict: one of torchvision's, resnet9 or convnet8",
    )
    cache_directory: Path | None = Field(
        None,
        strict=False,
        description="where models from S3 are kept; empty: models/ in CACHE_DIRECTORY or "
        "/var/cache/visionfleet",
    )
    resize: int = Field(256, ge=8, le=4096, description="shorter side in pixels, for your file")
    crop: int = Field(224, ge=8, le=4096, description="centre square in pixels, for your file")
    mean: Three = Field((0.485, 0.456, 0.406), description="mean per channel, for your file")
    std: Three = Field((0.229, 0.224, 0.225), description="deviation per channel, likewise")
    temperature: float | None = Field(
        None,
        ge=0.05,
        le=20,
        description="divides the scores before softmax; empty: what the model's file says, or 1",
    )
    unknown_below: float | None = Field(
        None,
        ge=0,
        le=1,
        description="least score of a label; empty: what the model's file says, or 0",
    )
    mirror_below: float | None = Field(
        None,
        ge=0,
        le=1,
        description="score below which the mirror image is classified too; empty: as the file says",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where it runs; auto: on a GPU when there is one"
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: the quickest that answers as float32 does, tried at the start"
    )
    agreement_floor: float = Field(
        0.99, ge=0, le=1, description="share of answers that must be those of float32"
    )
    threads: int | None = Field(
        None, ge=1, le=256, description="threads of one worker; empty: what the machine grants"
    )


class Classifier(Section):
    """The classifier daemon."""

    cpus_per_worker: int | None = Field(
        None, ge=1, le=1024, description="CPUs of each worker that systemd starts on its machine"
    )
    batch_size: int = Field(8, ge=1, le=256, description="images in one forward pass at most")
    prefetch: int = Field(32, ge=1, le=1000, description="messages one worker holds at most")
    fetch_threads: int = Field(8, ge=1, le=64, description="threads that fetch and decode")
    max_processing_seconds: float = Field(
        300.0, ge=5, le=43000, description="a message is held no longer than this"
    )
    drain_check_seconds: float = Field(
        5.0, ge=0.2, le=300, description="how often a worker asks whether it shall drain"
    )
    report_seconds: float = Field(30.0, ge=0.5, le=300, description="how often a worker reports")
    isolated_seconds: float = Field(
        60.0, ge=5, le=600, description="a job's last try, in a process of its own, ends after this"
    )
    stop_seconds: float = Field(25.0, ge=1, le=600, description="to finish what is in hand")
    metrics_port: int = Field(
        0, ge=0, le=64535, description="port of worker 0's metrics, worker 7's is 7 more; 0: none"
    )
    metrics_address: str = Field(
        "127.0.0.1", min_length=1, description="address that the metrics are served on"
    )
    interruption_notices: bool = Field(
        False, description="drain when EC2 announces the end of this spot instance"
    )
    named_by_instance: bool = Field(
        False, description="take the id of this EC2 instance as the worker's name"
    )
    self_shutdown: bool = Field(
        False, description="end this machine when it is idle and no scaler is alive"
    )
    idle_shutdown_seconds: float = Field(
        900.0, ge=5, le=86400, description="idle for this long, without a scaler"
    )
    shutdown_command: tuple[str, ...] = Field(
        ("touch", "/run/visionfleet/poweroff"),
        strict=False,
        min_length=1,
        description="command that ends this machine, and its arguments",
    )
