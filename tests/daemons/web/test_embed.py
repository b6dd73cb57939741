"""Vectors over HTTP: of workers that have them, and of those that do not."""

import base64
import math
from collections.abc import Iterator

import numpy as np
import pytest
import requests
import tritonclient.http as triton

from testkit.aws.embedded import Cloud, emptied
from testkit.classifier.stand_in import StandIn, label_of, stand_in, vector_of
from testkit.images.pictures import encoded, numbered
from testkit.web.daemon import Web
from visionfleet.contract.vectors import decode_vector

IMAGES = [encoded(numbered(i)) for i in range(2)]
EMBED, INFER = "/v1/embed", "/v2/models/default/infer"
TENSOR = {"name": "image", "datatype": "BYTES", "shape": [2]}
BODY = {"inputs": [TENSOR | {"data": [base64.b64encode(image).decode() for image in IMAGES]}]}


def vector(image: bytes) -> list[float]:
    return list(decode_vector(vector_of(image)))


aws = pytest.fixture(emptied, scope="module")


@pytest.fixture
def fleet(aws: Cloud) -> Iterator[StandIn]:
    with stand_in(aws, vectors=True) as made:
        yield made


@pytest.fixture
def older(aws: Cloud) -> Iterator[StandIn]:
    """A worker that does not know of vectors."""
    with stand_in(aws) as made:
        yield made


def test_embed_gives_vector_size_and_norm(web: Web, fleet: StandIn) -> None:
    answer = web.post(EMBED, files={"file": ("a.png", IMAGES[0])})
    found, expected = answer.json(), vector(IMAGES[0])
    assert answer.status_code == 200
    assert (found["embedding"], found["size"]) == (expected, 4)
    assert found["norm"] == pytest.approx(math.hypot(*expected))
    assert (found["label"], found["file_name"]) == (label_of(IMAGES[0]), "a.png")
    assert "vector" not in found
    assert web.get(f"/v1/jobs/{found['job']}").json() == found
    assert fleet.handled[0]["embed"] is True


def test_others_ask_for_no_vector(web: Web, fleet: StandIn) -> None:
    found = web.post("/v1/classify", files={"file": IMAGES[0]}).json()
    assert found["status"] == "succeeded"
    assert not {"embedding", "size", "norm", "vector"} & found.keys()
    assert "embed" not in fleet.handled[0]


def test_embed_of_several_images(web: Web, fleet: StandIn) -> None:
    answer = web.post(EMBED, files={"a": IMAGES[0], "b": IMAGES[1], "c": b"no image"})
    *found, bad = answer.json()["results"]
    assert [one["embedding"] for one in found] == [vector(image) for image in IMAGES]
    assert bad["code"] == "not_an_image"


def test_embed_says_when_the_worker_has_no_vector(web: Web, older: StandIn) -> None:
    answer = web.post(EMBED, files={"file": IMAGES[0]})
    found = answer.json()
    assert (answer.status_code, found["code"]) == (501, "no_embedding")
    assert web.get(f"/v1/jobs/{found['job']}").json()["label"] == label_of(IMAGES[0])
    assert older.handled


def test_embed_that_waits_too_long_is_a_job(web: Web, aws: Cloud) -> None:
    with stand_in(aws, vectors=True, held=True) as fleet:
        answer = web.post(f"{EMBED}?wait=0.2", files={"file": IMAGES[1]})
        assert answer.status_code == 202
        fleet.gate.set()
        found = web.get(answer.headers["Location"] + "?wait=20").json()
    assert found["embedding"] == vector(IMAGES[1])


def test_key_of_another_wish_is_refused(web: Web, fleet: StandIn) -> None:
    key = {"Idempotency-Key": "one"}
    first = web.post(EMBED, files={"file": IMAGES[0]}, headers=key).json()
    again = web.post(EMBED, files={"file": IMAGES[0]}, headers=key).json()
    assert again == first
    other = web.post("/v1/classify", files={"file": IMAGES[0]}, headers=key)
    assert other.json()["code"] == "key_reused"


@pytest.mark.parametrize("binary", [True, False])
def test_triton_client_gets_both_outputs(web: Web, fleet: StandIn, binary: bool) -> None:
    client = triton.InferenceServerClient(web.url.removeprefix("http://"))
    tensor = triton.InferInput("image", [2], "BYTES")
    tensor.set_data_from_numpy(np.array(IMAGES, dtype=np.object_))
    names = ("embedding", "classification")
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
    answer = client.infer("default", [tensor], outputs=wanted)
    client.close()
    found = answer.as_numpy("embedding")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [vector(image) for image in IMAGES])
    assert answer.as_numpy("classification").shape == (2, 1)


def infer(web: Web, *outputs: str) -> requests.Response:
    return web.post(INFER, json=BODY | {"outputs": [{"name": name} for name in outputs]})


def test_infer_gives_the_embedding_alone(web: Web, fleet: StandIn) -> None:
    (output,) = infer(web, "embedding").json()["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("embedding", "FP32", [2, 4])
    assert output["data"] == [*vector(IMAGES[0]), *vector(IMAGES[1])]


def test_infer_says_when_there_is_no_vector(web: Web, older: StandIn) -> None:
    answer = infer(web, "embedding")
    assert answer.status_code == 501
    assert "no vector" in answer.json()["error"]


def test_infer_refuses_an_output_twice_or_unknown(web: Web) -> None:
    assert "once" in infer(web, "embedding", "embedding").json()["error"]
    assert "unexpected inference output 'x'" in infer(web, "x").json()["error"]
