"""Every setting with its type, range, default and a line that says what it does. No I/O here."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from visionfleet.keys import Kept


def _known_zone(name: str) -> str:
    """Check that the machine knows a time zone."""
    try:
        ZoneInfo(name)
    except (ValueError, ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"no time zone {name!r} on this machine") from error
    return name


_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
_Bucket = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
_Port = Annotated[int, Field(ge=1, le=65535)]
_InstanceType = Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")]
_Subnet = Annotated[str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$")]
_Network = Annotated[IPv4Network, Field(strict=False)] | Annotated[IPv6Network, Field(strict=False)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# YAML gives lists; a strict tuple would refuse them.
_Three = Annotated[tuple[float, float, float], Field(strict=False)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
_TimeZone = Annotated[str, AfterValidator(_known_zone)]
# Marks a string as a path, or as an address in S3, in the schema.
FILE_OR_S3 = "file-or-s3"
Format = Literal["BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"]


class Section(BaseModel):
    """A frozen group of settings; a key that is not in it is an error."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


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

    input_bucket: _Bucket = Field("visionfleet-input", description="bucket of the uploads")
    output_bucket: _Bucket = Field(
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


class Web(Section):
    """The web daemon."""

    address: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: _Port = Field(8080, description="port to listen on")
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
    trusted_proxies: tuple[_Network, ...] = Field(
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
    sha256: _Sha256 | None = Field(None, description="SHA-256 of that file, required with it")
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
    mean: _Three = Field((0.485, 0.456, 0.406), description="mean per channel, for your file")
    std: _Three = Field((0.229, 0.224, 0.225), description="deviation per channel, likewise")
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


class ScheduleWindow(Section):
    """Hours of some days in which more workers than `scaler.minimum` run."""

    days: tuple[Day, ...] = Field(DAYS, strict=False, min_length=1, description="days of the week")
    start: _TimeOfDay = Field(description="from this time of day on, HH:MM")
    end: _TimeOfDay = Field(description="until this time; before start: of the next day")
    minimum: int = Field(ge=0, le=1000, description="workers that run in these hours")
    timezone: _TimeZone = Field("UTC", description="zone of the times, like Europe/Berlin")


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
    instance_types: tuple[_InstanceType, ...] = Field(
        (), strict=False, description="types in the order of preference; none: the template's"
    )
    subnets: tuple[_Subnet, ...] = Field(
        (), strict=False, description="subnets, tried in order per type; none: the template's"
    )


class Results(Section):
    """The results in S3."""

    by_name: bool = Field(False, description="also write the bare label under the file's name")


class Log(Section):
    """The logs, on standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level")


class Config(Section):
    """The whole configuration."""

    name: _Name = Field("visionfleet", description="deployment; its queues' names start with it")
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
