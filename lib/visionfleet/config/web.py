"""The settings of the web daemon."""

from typing import Literal

from pydantic import Field

from visionfleet.auth.api_keys import ApiKey
from visionfleet.config.fields import (
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

    address: Text = "127.0.0.1"
    """Address to listen on; 0.0.0.0 or "::" for every network of this host.
    Everybody whose clients are on other machines."""
    port: Port = 8080
    """Port to listen on.
    Whoever has something else on that port."""
    share_port: bool = False
    """Let several web processes of one user listen on this port; the kernel spreads the
    connections.
    Whoever runs more than one web process on a host."""
    auth: Literal["auto", "keys", "none"] = "auto"
    """Who may ask: keys, none (everybody), or auto: keys, but on loopback only if there are any.
    Whoever has something in front that checks who asks: none."""
    keys: ListOf[ApiKey] = ()
    """Hashed API keys beside those of the file: a list of its lines, each as it stands there.
    Whoever gives out keys by user data, as the CloudFormation stack does."""
    keys_file: FilePath | None = None
    """File that `visionfleet keys` keeps the hashed API keys in; null: systemd's credential
    web-keys.
    Whoever gives out API keys without systemd."""
    key_per_second: float | None = Field(None, gt=0, le=1000000)
    """Rate limit: requests that one API key may make of each process in a second; null: as many as
    it likes.
    Whoever has clients that may crowd out the others."""
    tls_certificate: FilePath | None = None
    """PEM file with the certificate and its chain, to serve HTTPS; null: HTTP.
    Whoever has no load balancer or proxy that speaks TLS."""
    tls_key: FilePath | None = None
    """PEM file with the key of that certificate, required with it.
    Whoever serves HTTPS itself."""
    trusted_proxies: ListOf[Network] = ()
    """Networks of the proxies whose X-Forwarded-For is believed, as [10.0.0.0/8, "::1/128"].
    Everybody with a load balancer or proxy in front."""
    hosts: ListOf[HostName] = ()
    """Names by which clients call this service, as [vision.example]; checked on loopback, where
    the names of this machine are known, and everywhere once there are any; ["*"]: not checked.
    Whoever has a proxy on the same host that passes on the name it was called by."""
    public_path: str = Field("", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    """Path under which a proxy publishes this service, as /vision; whether the proxy cuts it off
    does not matter.
    Whoever has other services behind the same name."""
    plain_reply: str = Field("{label}", pattern=r"\{label\}")
    """Answer to a plain POST /: {label}, and {stem} for the file's name without its extension.
    Whoever has old clients that expect another text."""
    plain_unsure: Text | None = None
    """The same where the model is not sure, as "perhaps {label}"; null: as where it is.
    Whoever has people read it; old clients take any text for the label."""
    max_wait_seconds: float = Field(300.0, ge=0, le=3600)
    """Longest wait that a request may ask for; a plain POST / waits that long for its label.
    Whoever has a load balancer or proxy that gives up sooner."""
    max_waiting: int = Field(5000, ge=1, le=1000000)
    """Most requests that one process has in flight; more uploads are refused.
    Whoever has more clients that wait at the same time, and the memory for them."""
    max_queue_seconds: float | None = Field(3600.0, ge=1, le=1209600)
    """Estimated wait in the queue from which uploads are refused; null: never.
    Whoever would rather be refused than wait, or has batches that may take a day."""
    max_held_bytes: int = Field(268435456, ge=1048576, le=1 << 40)
    """Memory budget: most bytes of uploads that one process holds.
    Whoever has a host with little memory, or many large uploads at once."""
    expire_seconds: float | None = Field(None, ge=1, le=1209600)
    """Time after which work is answered as expired; null: it never expires.
    Whoever has no use for late answers."""
    unready_seconds: float = Field(0.0, ge=0, le=300)
    """How long a daemon that is stopped is unready before it takes no more connections.
    Whoever has a load balancer that looks at readiness now and then."""
    cors_origins: ListOf[WebOrigin] = ()
    """Origins whose pages may use the API from a browser, as [https://app.example]; ["*"]: all.
    Whoever has a page of their own elsewhere."""
    cache: bool = False
    """Answer bytes that the fleet's model has seen before from S3, without a worker.
    Whoever gets the same files again and again."""
    metrics_port: int = Field(0, ge=0, le=65000)
    """Port of the metrics; more processes take the next that is free; 0: no metrics.
    Whoever has a Prometheus."""
    stop_seconds: float = Field(20.0, ge=0, le=600)
    """How long to answer what still waits when the daemon is stopped.
    Whoever stops hosts in less time; systemd's TimeoutStopSec= is to be longer."""
