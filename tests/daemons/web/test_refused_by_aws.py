"""What S3 or SQS refuse for good for what it holds is a 400 for its sender, and nobody else's."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from testkit.aws.counting_proxy import CountingProxy, ForwardingHandler, serving
from testkit.aws.embedded import Cloud
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.web.daemon import Web, web_daemon

IMAGE = encoded(numbered(0))


class StrictHandler(ForwardingHandler):
    """Refuses a whole call of SQS for a message about `odd.png`, and S3's image of `long.png`."""

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.operation == "SQS SendMessageBatch" and b"odd.png" in body:
            self._refuse(json.dumps({"__type": "com.amazonaws.sqs#InvalidMessageContents"}))
        elif self.headers.get("x-amz-meta-file-name") == "long.png":
            self._refuse("<Error><Code>MetadataTooLarge</Code></Error>")
        else:
            self.relay(*self.ask(body))

    def _refuse(self, text: str) -> None:
        self.send_response(400)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815


@pytest.fixture
def web(aws: Cloud, tmp_path: Path) -> Iterator[Web]:
    with (
        CountingProxy(aws.endpoint_url, StrictHandler) as proxy,
        serving(proxy),
        web_daemon(aws.behind(proxy.url), tmp_path) as made,
    ):
        yield made


def test_refused_upload_is_its_senders_fault_and_harms_no_other(aws: Cloud, web: Web) -> None:
    def upload(name: str) -> requests.Response:
        return web.post("/v1/classify?wait=20", files={"file": (name, IMAGE)})

    names = ["odd.png", "long.png", *(f"{number}.png" for number in range(4))] * 4
    with stand_in(aws), ThreadPoolExecutor(len(names)) as clients:
        answers = dict(zip(names, clients.map(upload, names), strict=True))
    assert web.get("/readyz").json() == {"ready": True, "reasons": []}
    for name in ("odd.png", "long.png"):
        refused = answers.pop(name)
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_parameter")
    assert {one.json()["label"] for one in answers.values()} == {label_of(IMAGE)}
