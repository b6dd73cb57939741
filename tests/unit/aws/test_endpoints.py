"""Where S3 and SQS are: the region's own endpoint everywhere, or the one that is given."""

import time
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.loaders import Loader

from visionfleet.aws.clients import ClientFactory, client_factory
from visionfleet.aws.s3 import Store
from visionfleet.config.schema import AwsSection
from visionfleet.errors import GiveUp

_SESSION = boto3.session.Session()
REGIONS = {
    partition: _SESSION.get_available_regions("s3", partition)
    for partition in _SESSION.get_available_partitions()
}
VARIANTS = {
    "plain": ({}, "photos.s3."),
    "dual stack": ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "photos.s3.dualstack."),
    "FIPS": ({"AWS_USE_FIPS_ENDPOINT": "true"}, "photos.s3-fips."),
}
_LOADER = Loader(include_default_search_paths=True)
READ_ONCE = {
    name: cache(getattr(_LOADER, name))
    for name in ("load_service_model", "load_data", "load_data_with_path")
}
ALL, S3, SQS = "http://all.test:1", "http://s3.test:2", "http://sqs.test:3"


@pytest.fixture(autouse=True)
def quick_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read botocore's data once for all: each factory has a session of its own."""
    for name, read in READ_ONCE.items():
        monkeypatch.setattr(Loader, name, lambda _, *at, read=read, **more: read(*at, **more))


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SQS", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")


def sent_to(client: Any) -> list[str]:
    """Have a client answer itself; returns the URLs that it will have called."""
    urls: list[str] = []

    def answer(request: Any, **_: object) -> AWSResponse:
        urls.append(request.url)
        body = b"{}" if "X-Amz-Target" in request.headers else b""
        raw: Any = type("Raw", (), {"stream": lambda *_, **__: iter((body,))})()
        headers: Any = {"ETag": '"1"', "Content-Length": str(len(body))}
        return AWSResponse(request.url, 200, headers, raw)

    client.meta.events.register("before-send", answer)
    return urls


def urls(factory: ClientFactory, bucket: str = "photos") -> dict[str, str]:
    """The URL of a bucket in a form, in a direct call and in a call of boto3's."""
    client = factory.client("s3")
    called = sent_to(client)
    store = Store(client, bucket)
    store.put("k", b"")
    form = store.presigned_post("k", "image/png", 9, time.time() + 60).url
    direct: Any = factory.direct_s3(client, bucket, 1)
    url = address(direct._calls) + direct._base_path
    found = {"form": form, "direct": url, "boto3": called[0].removesuffix("k")}
    return {name: url.rstrip("/") for name, url in found.items()}


def address(calls: Any) -> str:
    """Where direct calls go."""
    scheme = calls._connections._url.scheme
    return f"{scheme}://{calls._host}"


def factory(region: str) -> ClientFactory:
    return ClientFactory(region, None, 5.0, 1, placeholder_credentials=True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_forms_and_calls_go_to_the_region_itself(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, start = VARIANTS[variant]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    wrong, refused = {}, set()
    for region in (region for regions in REGIONS.values() for region in regions):
        try:
            found = urls(factory(region))
        except GiveUp:  # partitions without this variant
            refused.add(region)
            continue
        url, *others = set(found.values())
        if others or not url.startswith(f"https://{start}{region}.") or url.count("/") != 2:
            wrong[region] = found
    assert wrong == {}
    assert not refused & {*REGIONS["aws"], *REGIONS["aws-us-gov"]}
    assert refused == set() or variant != "plain"


def test_bucket_with_dots_goes_to_the_region_too() -> None:
    """No certificate covers its name, so it stands in the path."""
    found = set(urls(factory("eu-south-2"), "our.photos").values())
    assert found == {"https://s3.eu-south-2.amazonaws.com/our.photos"}


def where(setting: str | None, environment: dict[str, str]) -> tuple[str, str]:
    """Where S3 and SQS are called."""
    whole = {"AWS_ACCESS_KEY_ID": "a", **environment}
    made = client_factory(AwsSection(endpoint_url=setting), whole)
    sqs = made.client("sqs")
    called = sent_to(sqs)
    sqs.list_queues()
    (bucket,) = set(urls(made).values())
    direct: Any = made.sqs(1)
    assert address(direct._calls) == called[0].rstrip("/")
    return bucket.removesuffix("/photos"), called[0].rstrip("/")


@pytest.mark.parametrize(
    ("setting", "environment", "found"),
    [
        (ALL, {}, (ALL, ALL)),
        (ALL, {"AWS_ENDPOINT_URL_S3": S3}, (S3, ALL)),
        (None, {"AWS_ENDPOINT_URL_S3": S3, "AWS_ENDPOINT_URL_SQS": SQS}, (S3, SQS)),
        (None, {"AWS_ENDPOINT_URL": ALL, "AWS_ENDPOINT_URL_SQS": SQS}, (ALL, SQS)),
        (S3, {"AWS_ENDPOINT_URL": ALL}, (ALL, ALL)),
        (S3, {"AWS_ENDPOINT_URL": ALL, "VISIONFLEET_AWS__ENDPOINT_URL": S3}, (S3, S3)),
        (ALL, {"AWS_ENDPOINT_URL_S3": ""}, (ALL, ALL)),
        (
            ALL,
            {"AWS_ENDPOINT_URL_S3": S3, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            (ALL, ALL),
        ),
    ],
)
def test_endpoint_of_one_service_goes_before_that_of_all(
    setting: str | None,
    environment: dict[str, str],
    found: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name, value in {**keys, **environment}.items():
        monkeypatch.setenv(name, value)
    assert where(setting, environment) == found


def test_endpoints_of_aws_own_file_are_used(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    lines = ("[default]", f"endpoint_url = {ALL}", "services = mine", "[services mine]")
    (tmp_path / "config").write_text("\n".join((*lines, "s3 =", f"  endpoint_url = {S3}", "")))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert where(None, {}) == (S3, ALL)
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    bucket, queues = where(None, {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"})
    assert bucket == "https://photos.s3.us-east-1.amazonaws.com"
    assert queues == "https://sqs.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("environment", "placeholder"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, True),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}, False),
        ({"AWS_ENDPOINT_URL_S3": "http://[::1]:1", "AWS_ENDPOINT_URL_SQS": "http://[::1]:2"}, True),
        ({"AWS_ENDPOINT_URL": "http://[::1]:1", "AWS_ENDPOINT_URL_SQS": SQS}, False),
    ],
)
def test_placeholders_are_sent_to_this_machine_only(
    environment: dict[str, str], placeholder: bool
) -> None:
    made = client_factory(AwsSection(), environment)
    assert made.placeholder_credentials is placeholder
