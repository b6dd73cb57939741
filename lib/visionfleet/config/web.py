"""The settings of the web daemon."""

from typing import Literal

from pydantic import Field

from visionfleet.auth.api_keys import ApiKey
from visionfleet.config.fields import (
    Address,
    FilePath,
    HostName,
    ListOf,
    Network,
    Port,
    Section,
    Text,
    WebOrigin,
)


class WebSection(Section):
    """The web daemon."""

    address: Address = "127.0.0.1"
    """Address to listen on; 0.0.0.0 or "::" for all network interfaces of this host.
    Your clients are on other machines."""
    port: Port = 8080
    """Port to listen on.
    The port is taken."""
    share_port: bool = False
    """Let several web processes of one user listen on this port; the kernel distributes the
    connections.
    You run more than one web process on a host."""
    auth: Literal["auto", "keys", "none"] = "auto"
    """Who needs an API key: keys (everybody), none (nobody), or auto (everybody; on loopback only
    if keys exist).
    Something in front of the daemon authenticates clients: none."""
    keys: ListOf[ApiKey] = ()
    """Hashed API keys in addition to those of the file: a list of lines in the file's format.
    You pass keys in user data, as the CloudFormation stack does."""
    keys_file: FilePath | None = None
    """File in which `visionfleet keys` keeps the hashed API keys; null: systemd's credential
    web-keys.
    You use API keys without systemd."""
    key_per_second: float | None = Field(None, gt=0, le=1000000)
    """Rate limit: requests per second of one API key to each process; null: unlimited.
    Some clients could crowd out the others."""
    tls_certificate: FilePath | None = None
    """PEM file with the certificate and its chain, to serve HTTPS; null: HTTP.
    You have no load balancer or proxy that terminates TLS."""
    tls_key: FilePath | None = None
    """PEM file with the private key of that certificate, required with it.
    You serve HTTPS without a proxy."""
    trusted_proxies: ListOf[Network] = ()
    """Networks of the proxies whose X-Forwarded-For is trusted, such as [10.0.0.0/8, "::1/128"].
    You have a load balancer or proxy in front."""
    hosts: ListOf[HostName] = ()
    """Host names of this service, such as [vision.example]; checked on loopback, where this
    machine's names are also accepted, and on other addresses if any are listed; ["*"]: not checked.
    You have a proxy on the same host that forwards the client's Host header."""
    public_path: str = Field("", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    """Path under which a proxy publishes this service, such as /vision; the proxy may strip it or
    not.
    Other services share the host name."""
    plain_reply: str = Field("{label}", pattern=r"\{label\}")
    """Answer to a plain POST /: {label}, and {stem} for the file's name without its extension.
    You have old clients that expect another text."""
    plain_unsure: Text | None = None
    """The same if the model is not sure, such as "perhaps {label}"; null: the same answer.
    People read the answers; old clients take any text for the label."""
    max_wait_seconds: float = Field(300.0, ge=0, le=3600)
    """Longest wait that a request may ask for; a plain POST / waits that long for its label.
    You have a load balancer or proxy with a shorter timeout."""
    max_waiting: int = Field(5000, ge=1, le=1000000)
    """Maximum of requests in flight in one process; further uploads are refused.
    More clients wait at the same time, and there is memory for them."""
    max_queue_seconds: float | None = Field(3600.0, ge=1, le=1209600)
    """Estimated wait in the queue above which uploads are refused; null: never.
    You prefer a refusal to a long wait, or have batches that may take a day."""
    max_held_bytes: int = Field(268435456, ge=1048576, le=1 << 40)
    """Memory budget: maximum bytes of uploads that one process holds.
    The host has little memory, or gets many large uploads at once."""
    expire_seconds: float | None = Field(None, ge=1, le=1209600)
    """Time after which a job is answered as expired; null: never.
    You have no use for late answers."""
    unready_seconds: float = Field(0.0, ge=0, le=300)
    """How long a stopping daemon is unready before it stops listening.
    A load balancer checks readiness only at intervals."""
    cors_origins: ListOf[WebOrigin] = ()
    """Origins whose pages may use the API from a browser, such as [https://app.example]; ["*"]:
    all.
    You have a web page on another origin."""
    cache: bool = False
    """Answer bytes that the fleet's model has classified before from S3, without a worker.
    You get the same files repeatedly."""
    metrics_port: int = Field(0, ge=0, le=65000)
    """Port of the metrics; further processes use the next free port; 0: no metrics.
    You use Prometheus."""
    stop_seconds: float = Field(20.0, ge=0, le=600)
    """How long a stopping daemon continues to answer waiting requests.
    Your hosts stop in less time; systemd's TimeoutStopSec= must be longer."""
