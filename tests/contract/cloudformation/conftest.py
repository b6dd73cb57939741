"""Two stacks at one embedded AWS: one as small as can be, one with all that is optional."""

from collections.abc import Iterator

import pytest

from testkit.aws.cloudformation_stack import KMS_KEY, CloudStack, certificate, cloud_stack, create
from visionfleet.auth import api_keys

# A line of the file of keys.
KEY = api_keys.make("shop", b"\xaa" * 53, 0.0, None)[1].model_dump_json(exclude_none=True)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudStack]:
    with cloud_stack(tmp_path_factory.mktemp("stack")) as made:
        yield made


@pytest.fixture(scope="session")
def balanced(stack: CloudStack) -> CloudStack:
    """A second stack beside it, with all that is optional."""
    return create(
        stack.aws,
        Name="photos",
        CertificateArn=certificate(stack.aws),
        AlarmEmail="ops@example.org",
        CorsOrigins="https://a.example,https://b.example",
        ResultDays="90",
        KmsKeyArn=KMS_KEY,
        WebKeys=",".join((KEY, KEY.replace("aa", "bb"))),
        KeyName="ops",
        AdminCidr="203.0.113.0/24",
        Spot="true",
        Settings="{images: {max_bytes: 5000000}}",
        ModelName="birds",
        ModelPath="s3://out/models/birds.pt",
        ModelSha256="ab" * 32,
        ModelLabels="s3://out/models/birds.txt",
    )
