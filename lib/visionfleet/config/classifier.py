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
    """The default model, a torchvision architecture such as resnet18, or a name of yours for
    model.path.
    Everybody who wants other classes than the thousand of ImageNet."""
    directory: FilePath = Path("/usr/share/visionfleet/models")
    """Folder where weights of torchvision are looked for first, placed there by hand.
    Whoever wants a model by its name on hosts that cannot download."""
    path: FileOrS3 | None = None
    """A file of your own or s3://bucket/key: an artefact, as `visionfleet model import` writes it,
    TorchScript, exported program, state dict or safetensors; or a folder of artefacts.
    Whoever brings a model of their own."""
    sha256: Sha256 | None = None
    """SHA-256 of that file in lower case, required with it; `sha256sum FILE` prints it.
    Whoever brings a model of their own."""
    labels: FileOrS3 | None = None
    """File or s3://bucket/key with the labels of that model, one a line or JSON; required, unless
    it is an artefact.
    Whoever brings a model of their own."""
    architecture: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9_]*$")
    """The network of a state dict: an architecture of torchvision such as resnet18, or
    efficientnet_lite0, that of the default model.
    Whoever brings weights without their network."""
    resize: int = Field(256, ge=8, le=4096)
    """For your file: length of the shorter side after resizing, in pixels.
    Whoever brings a model of their own."""
    crop: int = Field(224, ge=8, le=4096)
    """For your file: side of the square cut from the centre, in pixels, at most resize.
    Whoever brings a model of their own."""
    mean: Three = (0.485, 0.456, 0.406)
    """For your file: mean of the red, green and blue channel, which is subtracted.
    Whoever brings a model of their own."""
    std: Three = (0.229, 0.224, 0.225)
    """For your file: deviation of the red, green and blue channel, which is divided by.
    Whoever brings a model of their own."""
    temperature: float | None = Field(None, ge=0.05, le=20)
    """Divides the scores before softmax; null: what the model's file says, else 1.
    Whoever has calibrated their model: `visionfleet evaluate --calibrate` proposes it."""
    unknown_below: float | None = Field(None, ge=0, le=1)
    """Lowest score of a label, else `low confidence`; null: what the model's file says, else 0.
    Whoever would rather have no label than a wrong one; proposed by the same command."""
    runtime: Runtime = "auto"
    """The program that computes: torch, openvino (processors only), or auto: the cheapest whose
    answers are those of torch.
    Whoever wants the same program on all machines, or has a model that one of them cannot run."""
    precision: Precision = "auto"
    """float32, bfloat16, float16 (GPUs only), int8 (openvino only), or auto: the cheapest that
    answers as float32 does.
    Whoever wants the same scores on every processor: float32."""
    samples: FilePath | None = None
    """Folder with images like those to come, for comparing precisions and for int8; null: crops of
    free photos. In folders named by their label they also tell what a precision loses.
    Whoever wants int8, or has images unlike photos."""
    threads: int | None = Field(None, ge=1, le=256)
    """Threads of one worker; null: as many as the machine grants it cores.
    Whoever runs several workers on one machine without systemd."""


class ClassifierSection(Section):
    """The classifier daemon; an instance of it at work is a worker."""

    cpus_per_worker: int | None = Field(None, ge=1, le=1024)
    """CPUs of each worker that systemd starts here; null: one worker, or one for each GPU.
    Whoever has a machine with many cores."""
    batch_size: int = Field(8, ge=1, le=256)
    """Most images in one forward pass.
    Whoever has a GPU: more."""
    prefetch: int = Field(32, ge=1, le=1000)
    """Most messages that one worker holds, at least batch_size; with a slow model fewer.
    Whoever has a GPU: more."""
    max_processing_seconds: float = Field(300.0, ge=5, le=43000)
    """Time after which a worker lets go of an image that it cannot finish.
    Whoever has a model that takes minutes."""
    report_seconds: float = Field(30.0, ge=0.5, le=300)
    """Time between two reports of a worker of itself; how soon a drain is noticed and a dead
    worker missed follows from it.
    Whoever pays nothing for calls to S3 and wants to watch the workers more closely."""
    stop_seconds: float = Field(25.0, ge=1, le=600)
    """How long to finish what is in flight when the daemon is stopped.
    Whoever stops hosts in less time; systemd's TimeoutStopSec= is to be longer."""
    metrics_port: int = Field(0, ge=0, le=64535)
    """Port of a worker's metrics, plus the number that ends its name; 0: no metrics.
    Whoever has a Prometheus."""
    ec2_instance: bool = False
    """This worker is an EC2 instance: named by its id, it drains on EC2's notice, and ends its
    machine when it is idle and no scaler is alive.
    Whoever has scaler.fleet: ec2, on the workers; the shipped AMI does."""
    idle_shutdown_seconds: float = Field(900.0, ge=5, le=86400)
    """Idle time after which an EC2 worker without a scaler ends its machine.
    Whoever would rather pay longer, or shorter, for workers that nobody looks after."""

    @property
    def drain_check_seconds(self) -> float:
        """The interval of polls for a drain request; each is an S3 call."""
        return min(5.0, self.report_seconds / 5)

    @property
    def silent_seconds(self) -> float:
        """The age of the last report at which a worker counts as dead; tolerates a lost one."""
        return max(30.0, 4 * self.report_seconds)
