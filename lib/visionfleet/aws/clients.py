"""Creates botocore clients and the direct clients beside them, as configured."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from botocore.config import Config as BotoConfig
from botocore.handlers import add_expect_header
from botocore.httpsession import get_cert_path
from botocore.model import OperationModel
from botocore.session import Session
from botocore.utils import get_environ_proxies
from urllib3.util import Url, parse_url

from visionfleet.aws.credentials import LastingCredentials
from visionfleet.aws.direct_calls import DirectCalls, SigningKey
from visionfleet.aws.endpoints import by_service, for_all, of_profile
from visionfleet.aws.errors import wrapped_errors
from visionfleet.aws.http_connections import HttpConnections, Timeouts
from visionfleet.aws.s3_direct import DirectS3
from visionfleet.aws.server_clock import ServerClock
from visionfleet.aws.session import new_session
from visionfleet.aws.sqs_direct import DirectSQS
from visionfleet.aws.whole_answers import require_whole
from visionfleet.config.schema import AwsSection
from visionfleet.host.loopback import loopback_address

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_LONGEST_WAIT_SECONDS = 20.0  # botocore's longest backoff
# Enough for a few seconds of throttling, soon enough for the daemons to tell of an outage.
MAX_ATTEMPTS = 4
# S3 Express signs with sessions of its own.
_DIRECTORY_BUCKET = "--x-s3"
# TCP retransmits a SYN after 1 s and 2 s more: a lost packet must not fail the call.
_CONNECT_TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True)
class ClientFactory:
    """How AWS is reached; an endpoint on this machine gets placeholder credentials.

    All clients share credentials: those of an instance role are fetched and renewed once.
    `bucket_owner` is the expected owner of buckets; others are refused.
    """

    region: str
    endpoint_url: str | None
    read_timeout_seconds: float
    max_attempts: int
    placeholder_credentials: bool = False
    service_endpoints: Mapping[str, str] = field(default_factory=dict)
    bucket_owner: str | None = None

    def longest_call_seconds(self, read_timeout_seconds: float) -> float:
        """The upper bound of a call's duration with all retries and backoffs."""
        tries = (1 + self.max_attempts) * (_CONNECT_TIMEOUT_SECONDS + read_timeout_seconds)
        return tries + (self.max_attempts - 1) * _LONGEST_WAIT_SECONDS

    def client(
        self,
        service: str,
        connections: int = 10,
        read_timeout_seconds: float | None = None,
        max_attempts: int | None = None,
    ) -> Any:
        """Create a client with a pool of `connections`, for threads; long polls need one of their
        own.

        Raises Denied while there are no credentials: a client created without never gets any.
        """
        endpoint_url = self._endpoint(service)
        config = BotoConfig(
            connect_timeout=_CONNECT_TIMEOUT_SECONDS,
            read_timeout=read_timeout_seconds or self.read_timeout_seconds,
            max_pool_connections=connections,
            retries={"mode": "standard", "total_max_attempts": max_attempts or self.max_attempts},
            s3=_s3_options(endpoint_url),
            # Presigned forms would otherwise use a signature that newer regions refuse.
            signature_version="s3v4" if service == "s3" else None,
            tcp_keepalive=True,
            # Each costs 0.25 ms of CPU per call; parameters are typed, and TLS protects the bytes.
            parameter_validation=False,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        with wrapped_errors(f"client of {service}"):
            client: Any = self._session.create_client(
                service, self.region, endpoint_url=endpoint_url, config=config
            )
        self._hook(client.meta.events, service)
        return client

    def direct_s3(self, client: "S3Client", bucket: str, connections: int) -> DirectS3 | None:
        """The direct client of a bucket, None where it cannot be used, e.g. behind a proxy. Raises
        TryLater or GiveUp when credentials cannot be used.
        """
        if bucket.endswith(_DIRECTORY_BUCKET):
            return None
        with wrapped_errors(f"bucket {bucket}"):
            presigned = client.generate_presigned_url(
                "get_object", Params={"Bucket": bucket, "Key": "x"}
            )
            url = parse_url(presigned)
            calls = self._direct_calls(url, "s3", connections, self.read_timeout_seconds)
        owner = {"x-amz-expected-bucket-owner": self.bucket_owner} if self.bucket_owner else {}
        return DirectS3(calls, str(url.path).removesuffix("x"), owner) if calls else None

    def sqs(self, connections: int, read_timeout_seconds: float | None = None) -> "SQSClient":
        """A client whose per-message calls are direct; raises like `client`."""
        client: SQSClient = self.client("sqs", connections, read_timeout_seconds)
        with wrapped_errors("client of sqs"):
            url = parse_url(client.generate_presigned_url("list_queues"))
            timeout_seconds = read_timeout_seconds or self.read_timeout_seconds
            calls = self._direct_calls(url, "sqs", connections, timeout_seconds)
        return cast("SQSClient", DirectSQS(client, calls, url.path or "/")) if calls else client

    def _direct_calls(
        self, url: Url, service: str, connections: int, read_timeout_seconds: float
    ) -> DirectCalls | None:
        if get_environ_proxies(f"{url.scheme}://{url.netloc}/"):
            return None
        ca_certs = str(self._session.get_config_variable("ca_bundle") or get_cert_path(True))
        timeouts = Timeouts(_CONNECT_TIMEOUT_SECONDS, read_timeout_seconds)
        kept = HttpConnections(url, timeouts, connections, ca_certs)
        key = SigningKey(self._session.get_credentials(), self.region, service)
        return DirectCalls(kept, key, str(url.netloc), self.clock.note)

    def _endpoint(self, service: str) -> str | None:
        with wrapped_errors(f"endpoint of {service}"):
            session = self._session
            given = self.service_endpoints.get(service) or self.endpoint_url
            if given or session.get_config_variable("ignore_configured_endpoint_urls"):
                return given
            return of_profile(service, session.get_scoped_config(), session.full_config)

    def _hook(self, events: Any, service: str) -> None:
        events.register("before-parse", require_whole)
        events.register("before-parse", self.clock.heard)
        credentials: object = self._session.get_credentials()
        if isinstance(credentials, LastingCredentials):
            events.register("after-call", credentials.heard)
        # `Expect: 100-continue` would cost another round trip per image.
        events.unregister("before-call.s3", add_expect_header)
        if self.bucket_owner and service == "s3":
            events.register("provide-client-params.s3", self._of_owner)

    def _of_owner(self, params: dict[str, Any], model: OperationModel, **_: Any) -> None:
        for name in ("ExpectedBucketOwner", "ExpectedSourceBucketOwner"):
            if model.input_shape and name in model.input_shape.members:
                params[name] = self.bucket_owner

    @cached_property
    def clock(self) -> ServerClock:
        """AWS's time, from the responses to these clients."""
        return ServerClock()

    @cached_property
    def _session(self) -> Session:
        """A session with credentials. One without is not kept, as they may appear later."""
        with wrapped_errors("credentials"):
            return new_session(self.placeholder_credentials)


def _s3_options(endpoint_url: str | None) -> Any:
    # "auto" would sign for the global endpoint, which newer regions do not support.
    style = "path" if endpoint_url else "virtual"
    return {"addressing_style": style, "us_east_1_regional_endpoint": "regional"}


def client_factory(
    settings: AwsSection, environment: Mapping[str, str] = os.environ
) -> ClientFactory:
    given = {"AWS_ACCESS_KEY_ID", "AWS_PROFILE"} & environment.keys()
    attempts = environment.get("AWS_MAX_ATTEMPTS", "")
    url, urls = for_all(settings.endpoint_url, environment), by_service(environment)
    used = {urls.get(service, url) for service in ("s3", "sqs")}
    return ClientFactory(
        region=settings.region,
        endpoint_url=url,
        read_timeout_seconds=settings.read_timeout_seconds,
        max_attempts=int(attempts) if re.fullmatch(r"[1-9][0-9]?", attempts) else MAX_ATTEMPTS,
        placeholder_credentials=not given and None not in map(loopback_address, used),
        service_endpoints=urls,
        bucket_owner=settings.bucket_owner,
    )
