"""Every setting: its type, range, default, what it is, and when to change it. No I/O here.

`etc/visionfleet.yaml` and `docs/settings.md` are generated from it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field
from pydantic.fields import FieldInfo

from visionfleet.config.classifier import ClassifierSection, ModelSection
from visionfleet.config.fields import (
    FORMATS,
    Account,
    Address,
    Bucket,
    FileOrS3,
    FilePath,
    Format,
    ListOf,
    Name,
    Section,
    Text,
)
from visionfleet.config.scaler import Ec2Section, ScalerSection, SupervisorSection
from visionfleet.config.web import WebSection
from visionfleet.config.yaml_source import Key


class AwsSection(Section):
    """Access to AWS."""

    region: Text = "us-east-1"
    """Region of all services.
    Your queues are in another region."""
    endpoint_url: str | None = Field(None, pattern=r"^https?://")
    """Endpoint for all services, such as http://127.0.0.1:5500; null: AWS itself.
    You use an emulator, as `make run` does."""
    bucket_owner: Account | None = None
    """Account that owns the buckets; S3 refuses buckets of other accounts. null: not checked.
    You want no upload to reach somebody who has taken the name of a deleted bucket."""
    read_timeout_seconds: float = Field(15.0, ge=1, le=120)
    """How long to wait for a response; the wait of a long poll is added.
    You are far from the region, or have a slow proxy."""


class StorageSection(Section):
    """The S3 buckets; both may be the same bucket."""

    input_bucket: Bucket = "visionfleet-input"
    """Bucket for the uploads, under images/.
    Always: bucket names are unique in all of AWS."""
    output_bucket: Bucket = "visionfleet-output"
    """Bucket for results and the fleet's state, under results/ and fleet/.
    Always, for the same reason."""


class QueueSection(Section):
    """The SQS queues. `visionfleet provision` creates them, and applies changes made here."""

    visibility_timeout_seconds: int = Field(60, ge=2, le=43200)
    """Time after which the images of a dead worker are delivered to others.
    You want a killed worker's images back sooner, or fewer renewals."""
    wait_seconds: int = Field(20, ge=0, le=20)
    """How long a receive waits for a message; less costs more SQS calls.
    You use an emulator, where calls cost nothing."""
    max_receives: int = Field(5, ge=3, le=1000)
    """Deliveries of a request: attempts, the last but one in isolation, and a last one that reports
    the failure.
    You often lose workers while they work, as with spot instances."""
    retention_seconds: int = Field(345600, ge=60, le=1209600)
    """How long a request is kept in the queue.
    Work may wait for more than four days, or should expire sooner."""


class ImagesSection(Section):
    """Limits of uploads."""

    max_bytes: int = Field(20971520, ge=1024, le=536870912)
    """Maximum size of an upload.
    You have larger files, or want to refuse them earlier."""
    max_pixels: int = Field(250000000, ge=1024, le=1000000000)
    """Maximum of width times height of an image; the memory to decode it is limited separately.
    You want to refuse large images earlier."""
    formats: ListOf[Format] = Field(FORMATS, min_length=1)
    """Accepted formats; the file's content decides, never its name.
    You want to expose fewer decoders to untrusted input."""


class ResultsSection(Section):
    """The results in S3."""

    by_name: bool = False
    """Also write the bare label to results/by-name/ under the file's name without its extension.
    You have readers that look up results by file name."""


class MetricsSection(Section):
    """The metrics of all daemons; each has its own `metrics_port`."""

    address: Address = "127.0.0.1"
    """Address that the metrics are served on; 0.0.0.0 for a Prometheus elsewhere.
    You scrape from another machine."""


class LogSection(Section):
    """The logs, on standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level that is logged.
    You investigate a fault, or want fewer log lines."""


class Config(Section):
    """The whole configuration."""

    name: Name = "visionfleet"
    """Name of the deployment, up to 31 of a-z 0-9 -; its queue names begin with it.
    You have several deployments in one account and region."""
    aws: AwsSection = AwsSection()
    storage: StorageSection = StorageSection()
    queue: QueueSection = QueueSection()
    images: ImagesSection = ImagesSection()
    web: WebSection = WebSection()
    model: ModelSection = ModelSection()
    classifier: ClassifierSection = ClassifierSection()
    scaler: ScalerSection = ScalerSection()
    supervisor: SupervisorSection = SupervisorSection()
    ec2: Ec2Section = Ec2Section()
    results: ResultsSection = ResultsSection()
    metrics: MetricsSection = MetricsSection()
    log: LogSection = LogSection()


def settings() -> Mapping[Key, FieldInfo]:
    """Every setting by its key, in order: ("web", "port"), and ("name",) without a section."""
    found: dict[Key, FieldInfo] = {}
    for name, field in Config.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            found |= {(name, key): below for key, below in section.model_fields.items()}
        else:
            found[name,] = field
    return found


def path_keys() -> Sequence[Key]:
    """Keys whose values are paths, or may be."""
    kinds = (Path, FilePath, FileOrS3)
    return [
        key
        for key, field in settings().items()
        if any(option in kinds for option in (field.annotation, *get_args(field.annotation)))
    ]


def keys_below(section: Key) -> Sequence[str]:
    """Names of the keys in a section; those of the top level for an empty one."""
    if not section:
        return list(Config.model_fields)
    return [key[-1] for key in settings() if key[:-1] == section]
