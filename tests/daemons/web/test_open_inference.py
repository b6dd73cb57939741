"""The Open Inference Protocol: with Triton's own client, and by hand."""

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from testkit.aws.embedded import BUCKETS, Cloud, cloud, emptied
from testkit.classifier.stand_in import StandIn, label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.web.daemon import Web, web_daemon

IMAGES = [encoded(numbered(i)) for i in range(3)]
INFER = "/v2/models/default/infer"

aws = pytest.fixture(emptied, scope="module")


@pytest.fixture(scope="module")
def fleet(aws: Cloud) -> Iterator[StandIn]:
    with stand_in(aws, threads=2) as made:
        yield made


@pytest.fixture
def client(web: Web) -> Iterator[Any]:
    made = triton.InferenceServerClient(web.url.removeprefix("http://"))
    yield made
    made.close()


def tensor(images: list[bytes], shape: list[int] | None = None) -> Any:
    made = triton.InferInput("image", shape or [len(images)], "BYTES")
    made.set_data_from_numpy(np.array(images, dtype=np.object_).reshape(shape or [len(images)]))
    return made


def test_triton_client_sees_server_and_model(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("default")
    assert not client.is_model_ready("other")
    server = client.get_server_metadata()
    assert server["extensions"] == ["classification", "binary_tensor_data"]
    model = client.get_model_metadata("default")
    assert model["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    assert model["outputs"][0]["datatype"] == "BYTES"


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("shape", [[3], [3, 1]])
def test_triton_client_classifies(
    client: Any, fleet: StandIn, binary: bool, shape: list[int]
) -> None:
    wanted = triton.InferRequestedOutput("classification", binary_data=binary, class_count=2)
    answer = client.infer("default", [tensor(IMAGES, shape)], outputs=[wanted], request_id="42")
    found = answer.as_numpy("classification")
    assert found.shape == (3, 2)
    texts = [[entry.decode() if isinstance(entry, bytes) else entry for entry in r] for r in found]
    assert texts == [
        [f"0.900000:0:{label_of(image)}", f"0.450000:1:{label_of(image)}"] for image in IMAGES
    ]
    response = answer.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == (
        "42",
        "default",
        "0000",
    )


@pytest.mark.parametrize("request_encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("response_encoding", [None, "gzip"])
def test_triton_client_may_compress(
    client: Any, fleet: StandIn, request_encoding: str, response_encoding: str | None
) -> None:
    answer = client.infer(
        "default",
        [tensor(IMAGES)],
        request_compression_algorithm=request_encoding,
        response_compression_algorithm=response_encoding,
    )
    assert answer.as_numpy("classification").shape == (3, 1)


def test_triton_client_is_told_of_what_there_is_not(client: Any, fleet: StandIn) -> None:
    """All of it is a 404 with a message, and the connection serves the next request."""
    for ask in (
        client.get_model_repository_index,
        lambda: client.get_model_config("default"),
        lambda: client.get_inference_statistics("default"),
        lambda: client.load_model("default"),
        client.get_trace_settings,
        lambda: client.update_log_settings({}),
        client.get_system_shared_memory_status,
    ):
        with pytest.raises(InferenceServerException, match="there is nothing at /v2/"):
            ask()
        assert client.infer("default", [tensor(IMAGES[:1])]).as_numpy("classification").size == 1


def test_triton_client_gets_the_best_class_by_default(client: Any, fleet: StandIn) -> None:
    found = client.infer("default", [tensor(IMAGES[:1])]).as_numpy("classification")
    assert found.tolist() == [[f"0.900000:0:{label_of(IMAGES[0])}".encode()]]


def test_model_version_is_the_reported_fingerprint(web: Web, client: Any, fleet: StandIn) -> None:
    client.infer("default", [tensor(IMAGES[:1])])
    assert client.get_model_metadata("default")["versions"] == ["0000"]
    assert client.get_model_metadata("default", "0000")["name"] == "default"
    assert client.is_model_ready("default", "0000")
    client.infer("default", [tensor(IMAGES[:1])], model_version="0000")
    assert web.get("/v2/models/default/versions/1").status_code == 404


def test_model_goes_by_its_own_name_too(client: Any, fleet: StandIn) -> None:
    name = "efficientnet_lite0"
    assert client.get_model_metadata(name)["name"] == name
    assert client.infer(name, [tensor(IMAGES[:1])]).get_response()["model_name"] == name


def test_triton_client_sees_error_messages(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="unknown model 'other'"):
        client.infer("other", [tensor(IMAGES[:1])])
    with pytest.raises(InferenceServerException, match="not an image"):
        client.infer("default", [tensor([b"text"])])
    wanted = triton.InferRequestedOutput("scores")
    with pytest.raises(InferenceServerException, match="unexpected inference output 'scores'"):
        client.infer("default", [tensor(IMAGES[:1])], outputs=[wanted])
    numbers = triton.InferInput("image", [1], "INT32")
    numbers.set_data_from_numpy(np.zeros(1, np.int32))
    with pytest.raises(InferenceServerException, match="expected datatype BYTES"):
        client.infer("default", [numbers])


def test_inference_timeout_names_the_job(aws: Cloud, tmp_path: Any) -> None:
    with cloud(tmp_path) as empty, web_daemon(empty, tmp_path) as web:
        answer = web.post(INFER, json=request(IMAGES[:1], timeout=200_000))
        assert answer.status_code == 504
        location = answer.headers["Location"]
        assert location in answer.json()["error"]
        assert web.get(location).json()["status"] == "queued"


def request(images: list[bytes], **parameters: Any) -> dict[str, Any]:
    data = [base64.b64encode(image).decode() for image in images]
    one = {"name": "image", "shape": [len(data)], "datatype": "BYTES", "data": data}
    return {"inputs": [one], "parameters": parameters}


def test_inference_takes_base64_in_json(web: Web, fleet: StandIn) -> None:
    answer = web.post(INFER, json=request(IMAGES))
    assert answer.status_code == 200
    (output,) = answer.json()["outputs"]
    assert output == {
        "name": "classification",
        "datatype": "BYTES",
        "shape": [3, 1],
        "data": [f"0.900000:0:{label_of(image)}" for image in IMAGES],
    }


def test_failed_image_fails_only_its_inference_request(
    web: Web, aws: Cloud, fleet: StandIn
) -> None:
    fleet.fails = True
    failed = web.post(INFER, json=request(IMAGES[:2]))
    fleet.fails = False
    assert (failed.status_code, failed.json()) == (422, {"error": "it is broken"})
    assert web.post(INFER, json=request(IMAGES[:2])).ok


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"inputs": []}',
        json.dumps({"inputs": [{"name": "i", "shape": [1], "datatype": "BYTES"}]}).encode(),
        json.dumps(request([])).encode(),
        json.dumps(request(IMAGES[:1] * 33)).encode(),
        json.dumps({"inputs": request(IMAGES)["inputs"] * 2}).encode(),
        json.dumps(
            {"inputs": [{"name": "i", "shape": [1], "datatype": "BYTES", "data": ["é"]}]}
        ).encode(),
        json.dumps(
            {"inputs": [{"name": "i", "shape": [2], "datatype": "BYTES", "data": ["AA=="]}]}
        ).encode(),
    ],
)
def test_bad_inference_requests_are_refused(web: Web, body: bytes) -> None:
    answer = web.post(INFER, data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == ["error"]


def test_shared_memory_is_refused(client: Any) -> None:
    """Who asks for it would else read what is in that memory by chance."""
    given, placed = tensor(IMAGES[:1]), triton.InferInput("image", [1], "BYTES")
    placed.set_shared_memory("region", 100)
    wanted = triton.InferRequestedOutput("classification")
    with pytest.raises(InferenceServerException, match="no shared memory"):
        client.infer("default", [placed])
    wanted.set_shared_memory("region", 100)
    with pytest.raises(InferenceServerException, match="no shared memory"):
        client.infer("default", [given], outputs=[wanted])


def test_images_come_in_one_way_alone(web: Web) -> None:
    one = {**request(IMAGES[:1])["inputs"][0], "parameters": {"binary_data_size": 4}}
    head = json.dumps({"inputs": [one]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    answer = web.post(INFER, data=head + bytes(4), headers=headers)
    assert (answer.status_code, "either data or" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("tail", "size", "length"),
    [
        (b"\1\0\0", 3, None),
        (struct.pack("<I", 9) + b"short", 9, None),
        (struct.pack("<I", 4) + b"four", 7, None),
        (struct.pack("<I", 4) + b"four", 8, "99999"),
        (struct.pack("<I", 4) + b"four", 8, "x"),
    ],
)
def test_bad_binary_tensors_are_refused(
    web: Web, tail: bytes, size: int, length: str | None
) -> None:
    parameters = {"binary_data_size": size}
    one = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": parameters}
    head = json.dumps({"inputs": [one]}).encode()
    headers = {"Inference-Header-Content-Length": length or str(len(head))}
    answer = web.post(INFER, data=head + tail, headers=headers)
    assert answer.status_code == 400, answer.text
    assert "error" in answer.json()


def test_refused_inference_requests_leave_nothing_behind(web: Web, aws: Cloud) -> None:
    before = aws.keys("images/", BUCKETS[0])
    web.post(INFER, json={"inputs": []})
    web.post("/v2/models/other/infer", json=request(IMAGES))
    assert aws.keys("images/", BUCKETS[0]) == before
