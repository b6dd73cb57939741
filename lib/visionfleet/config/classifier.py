"""The settings of the workers: which model they load, and how they work."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from visionfleet.config.fields import FileOrS3, FilePath, Section, Sha256, Three

Precision = Literal["auto", "float32", "bfloat16", "float16", "int8"]
Runtime = Literal["auto", "torch", "openvino"]
# One name everywhere: in results, in API paths, on the page. `default` means it too.
DEFAULT_MODEL = "efficientnet_lite0"


def _no_hub(name: object) -> object:
    if isinstance(name, str) and "/" in name:
        raise ValueError(f"a model of the hub is imported first: visionfleet model import {name}")
    return name


def _own_name(name: str) -> str:
    return DEFAULT_MODEL if name == "default" else name


class ModelSection(Section):
    """The model that every worker loads. Files are never unpickled."""

    name: Annotated[
        str,
        BeforeValidator(_no_hub),
        AfterValidator(_own_name),
        Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$"),
    ] = DEFAULT_MODEL
    """The default model, a torchvision architecture such as resnet18, or your own name for
    model.path.
    You want other classes than ImageNet's thousand."""
    directory: FilePath = Path("/usr/share/visionfleet/models")
    """Folder that is searched first for torchvision weights; put them there by hand.
    You name a torchvision model on hosts that cannot download it."""
    path: FileOrS3 | None = None
    """Your own file or s3://bucket/key: an artefact, as `visionfleet model import` writes it,
    TorchScript, exported program, state dict or safetensors; or a folder of artefacts.
    You bring your own model."""
    sha256: Sha256 | None = None
    """SHA-256 of that file in lower case, required with it; `sha256sum FILE` prints it.
    You bring your own model."""
    labels: FileOrS3 | None = None
    """File or s3://bucket/key with the labels of that model, one per line or JSON; required, unless
    it is an artefact.
    You bring your own model."""
    architecture: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9_]*$")
    """Network of a state dict: a torchvision architecture such as resnet18, or efficientnet_lite0,
    that of the default model.
    You bring weights without their network."""
    resize: int = Field(256, ge=8, le=4096)
    """For your file: length of the shorter side after resizing, in pixels.
    You bring your own model."""
    crop: int = Field(224, ge=8, le=4096)
    """For your file: side of the square cut from the centre, in pixels, at most resize.
    You bring your own model."""
    mean: Three = (0.485, 0.456, 0.406)
    """For your file: mean of the red, green and blue channels, which is subtracted.
    You bring your own model."""
    std: Three = (0.229, 0.224, 0.225)
    """For your file: standard deviation of the red, green and blue channels, which is divided by.
    You bring your own model."""
    temperature: float | None = Field(None, ge=0.05, le=20)
    """Divides the scores before softmax; null: the model file's own, else 1.
    You have calibrated your model: `visionfleet evaluate --calibrate` proposes it."""
    unknown_below: float | None = Field(None, ge=0, le=1)
    """Lowest score of a label, below it `low confidence`; null: the model file's own, else 0.
    You prefer no label to a wrong one; the same command proposes it."""
    runtime: Runtime = "auto"
    """Runtime: torch, openvino (processors only), or auto: the cheapest whose answers agree with
    torch.
    You want the same runtime on all machines, or a model does not work on one of them."""
    precision: Precision = "auto"
    """float32, bfloat16, float16 (GPUs only), int8 (openvino only), or auto: the cheapest whose
    answers agree with float32.
    You want the same scores on every processor: float32."""
    samples: FilePath | None = None
    """Folder with representative images, for comparing precisions and for int8; null: crops of free
    photos. In folders named by label they also measure the accuracy that a precision loses.
    You want int8, or your images are unlike photos."""
    threads: int | None = Field(None, ge=1, le=256)
    """Threads of one worker; null: as many as the CPU cores that the machine grants it.
    You run several workers on one machine without systemd."""


class ClassifierSection(Section):
    """The classifier daemon; each running one is a worker."""

    cpus_per_worker: int | None = Field(None, ge=1, le=1024)
    """CPUs of each worker that systemd starts here; null: one worker, or one per GPU.
    The machine has many cores."""
    batch_size: int = Field(8, ge=1, le=256)
    """Maximum of images in one forward pass.
    You have a GPU: more."""
    prefetch: int = Field(32, ge=1, le=1000)
    """Maximum of messages in flight in one worker, at least batch_size; fewer with a slow model.
    You have a GPU: more."""
    max_processing_seconds: float = Field(300.0, ge=5, le=43000)
    """Time after which a worker releases an image that it cannot finish.
    Your model takes minutes."""
    report_seconds: float = Field(30.0, ge=0.5, le=300)
    """Interval of a worker's reports; it determines how soon a drain is noticed and a dead worker
    detected.
    S3 calls cost you nothing and you want to monitor the workers more closely."""
    stop_seconds: float = Field(25.0, ge=1, le=600)
    """How long a stopping daemon may take to finish what is in flight.
    Your hosts stop in less time; systemd's TimeoutStopSec= must be longer."""
    metrics_port: int = Field(0, ge=0, le=64535)
    """Port of a worker's metrics, plus the number at the end of its name; 0: no metrics.
    You use Prometheus."""
    ec2_instance: bool = False
    """This worker is an EC2 instance: it is named by its id, drains on EC2's notice, and shuts the
    instance down when it is idle and no scaler is running.
    You use scaler.fleet: ec2, on the workers; the shipped AMI sets it."""
    idle_shutdown_seconds: float = Field(900.0, ge=5, le=86400)
    """Idle time after which an EC2 worker shuts down if no scaler is running.
    You would rather pay longer, or shorter, for workers without a scaler."""

    @property
    def drain_check_seconds(self) -> float:
        """The interval of polls for a drain request; each is an S3 call."""
        return min(5.0, self.report_seconds / 5)

    @property
    def silent_seconds(self) -> float:
        """The age of the last report at which a worker counts as dead; tolerates a lost one."""
        return max(30.0, 4 * self.report_seconds)
