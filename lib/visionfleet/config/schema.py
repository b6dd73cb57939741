"""The whole configuration: every setting has a type, a range, a default and a line on what it does.

The larger sections have modules of their own. No I/O here.
"""

from typing import Literal

from pydantic import Field

from visionfleet.config.classifier import Classifier, Model
from visionfleet.config.fields import Bucket, Format, Name, Section
from visionfleet.config.scaler import Ec2, Scaler, Supervisor
from visionfleet.config.web import Web


class Aws(Section):
    """How AWS is reached. Credentials come from the instance role or the environment."""

    region: str = Field("us-east-1", min_length=1, description="region of all services")
    endpoint_url: str | None = Field(
        None, pattern=r"^https?://", description="another endpoint than AWS, for all services"
    )
    connect_timeout_seconds: float = Field(3.0, ge=0.1, le=60, description="to open a connection")
    read_timeout_seconds: float = Field(15.0, ge=1, le=120, description="to wait for an answer")
    max_attempts: int = Field(4, ge=1, le=10, description="tries of one call before it fails")


class Storage(Section):
    """The S3 buckets; both may be the same one."""

    input_bucket: Bucket = Field("visionfleet-input", description="bucket of the uploads")
    output_bucket: Bucket = Field(
        "visionfleet-output", description="bucket of results and of what the fleet says of itself"
    )


class Queue(Section):
    """The SQS queues, made by `visionfleet provision`."""

    visibility_timeout_seconds: int = Field(
        60, ge=2, le=43200, description="a worker that dies returns its messages after this"
    )
    wait_seconds: int = Field(20, ge=0, le=20, description="how long an empty receive waits")
    max_receives: int = Field(
        5,
        ge=3,
        le=1000,
        description="deliveries of a request: tries, a last one alone, and to tell",
    )
    retention_seconds: int = Field(345600, ge=60, le=1209600, description="life of a request")
    dead_retention_seconds: int = Field(
        1209600, ge=60, le=1209600, description="life of a dead letter, from its first sending"
    )


class Images(Section):
    """What an upload may be."""

    max_bytes: int = Field(20971520, ge=1024, le=536870912, description="largest upload")
    max_pixels: int = Field(
        50000000, ge=1024, le=89000000, description="largest width times height"
    )
    formats: tuple[Format, ...] = Field(
        ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"),
        strict=False,
        min_length=1,
        description="accepted formats, found by content, never by name",
    )


class Results(Section):
    """The results in S3."""

    by_name: bool = Field(False, description="also write the bare label under the file's name")


class Log(Section):
    """The logs, on standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level")


class Config(Section):
    """The whole configuration."""

    name: Name = Field("visionfleet", description="deployment; its queues' names start with it")
    aws: Aws = Aws()
    storage: Storage = Storage()
    queue: Queue = Queue()
    images: Images = Images()
    web: Web = Web()
    model: Model = Model()
    classifier: Classifier = Classifier()
    scaler: Scaler = Scaler()
    supervisor: Supervisor = Supervisor()
    ec2: Ec2 = Ec2()
    results: Results = Results()
    log: Log = Log()
