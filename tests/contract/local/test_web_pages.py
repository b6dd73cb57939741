"""The embedded AWS has no access control, so it answers no page in a browser of this machine."""

import http.client
from contextlib import closing

import pytest

from testkit.aws.embedded import Cloud


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, False),
        ({"Host": "localhost:5500", "Sec-Fetch-Site": "none"}, False),
        ({"Origin": "http://127.0.0.1:5500"}, True),
        ({"Origin": "null"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, True),
        ({"Host": "evil.example:5500"}, True),
    ],
)
def test_web_pages_are_refused(running_aws: Cloud, headers: dict[str, str], refused: bool) -> None:
    address = str(running_aws.endpoint_url).removeprefix("http://")
    with closing(http.client.HTTPConnection(address, timeout=60)) as connection:
        for method in ("GET", "POST"):  # the second finds the connection in order
            connection.request(method, "/moto-api/seed?a=1", b"x" * 1000, headers)
            response = connection.getresponse()
            response.read()
            assert (response.status == 403) == refused
            assert not (refused and "Access-Control-Allow-Origin" in response.headers)
