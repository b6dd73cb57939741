"""Clients of others against a running daemon: KServe's, and two generated from /openapi.json.

They need what the project does not: `make test-clients` installs them into build/clients, and the
second generator needs Java. Each client is a script of its own there; what it prints is compared.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testkit import ROOT
from testkit.aws.embedded import cloud
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.web.daemon import web_daemon

PACKAGES = ("kserve", "openapi-python-client", "openapi-generator-cli", "python-dateutil")
IMAGE = encoded(numbered(0))

KSERVE = """
import asyncio, base64, sys
import numpy
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

url, image = sys.argv[1], open(sys.argv[2], "rb").read()

async def main():
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(url) and await client.is_server_ready(url)
    assert await client.is_model_ready(url, "default")
    text = base64.b64encode(image).decode()
    plain = InferInput(name="image", shape=[1], datatype="BYTES", data=[text])
    binary = InferInput(name="image", shape=[1], datatype="BYTES")
    binary.set_data_from_numpy(numpy.array([image], dtype=object), binary_data=True)
    for tensor in (plain, binary):
        request = InferRequest(model_name="default", infer_inputs=[tensor])
        answer = await client.infer(url, request, model_name="default")
        print(answer.outputs[0].data[0].split(":")[2])

asyncio.run(main())
"""
PYTHON_CLIENT = """
import sys
from io import BytesIO
from generated import Client
from generated.api.default import get_v1_jobs_job, post, post_v1_classify, post_v1_jobs
from generated.models import PostFilesBody, PostV1ClassifyFilesBody, PostV1JobsFilesBody
from generated.types import File

client, image = Client(base_url=sys.argv[1]), open(sys.argv[2], "rb").read()

def form(kind):
    return kind(file=File(payload=BytesIO(image), file_name="a.png", mime_type="image/png"))

print(post.sync(client=client, body=form(PostFilesBody)))
print(post_v1_classify.sync(client=client, body=form(PostV1ClassifyFilesBody), wait=20).label)
print(post_v1_classify.sync(client=client, body=File(payload=BytesIO(image)), top=3).label)
job = post_v1_jobs.sync(client=client, body=form(PostV1JobsFilesBody), idempotency_key="one").job
print(get_v1_jobs_job.sync(job, client=client, wait=20).label)
refused = post_v1_classify.sync(client=client, body=File(payload=BytesIO(b"text")))
assert refused.code == "not_an_image", refused
"""
GENERATOR = """
import sys
import generated_too
from generated_too.api.default_api import DefaultApi

configuration = generated_too.Configuration(host=sys.argv[1])
api, image = DefaultApi(generated_too.ApiClient(configuration)), open(sys.argv[2], "rb").read()

print(api.post_v1_classify(("a.png", image), wait=20.0).actual_instance.label)
print(api.post_v1_classify(image, top=3).actual_instance.label)
job = api.post_v1_jobs(("a.png", image), idempotency_key="two").actual_instance.job
print(api.get_v1_jobs_job(job, wait=20.0).actual_instance.label)
try:
    api.post_v1_classify(b"text")
except generated_too.ApiException as refused:
    assert refused.status == 415, refused
"""


@contextmanager
def running(folder: Path) -> Iterator[str]:
    with cloud(folder) as aws, stand_in(aws, threads=2), web_daemon(aws, folder) as web:
        (folder / "image.png").write_bytes(IMAGE)
        (folder / "openapi.json").write_bytes(web.get("/openapi.json").content)
        yield web.url


def run(folder: Path, *argv: str) -> str:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def installed() -> Path:
    place = ROOT / "build" / "clients"
    if not (place / "bin" / "openapi-generator-cli").exists():
        run(ROOT, sys.executable, "-m", "venv", str(place))
        run(ROOT, str(place / "bin" / "python"), "-m", "pip", "install", "-q", *PACKAGES)
    return place / "bin"


def main() -> None:
    if shutil.which("java") is None:
        sys.exit("openapi-generator needs Java: sudo apt-get install default-jre-headless")
    programs = installed()
    with tempfile.TemporaryDirectory() as name, running(Path(name)) as url:
        folder = Path(name)
        made = ("--path", "openapi.json", "--output-path", "generated", "--meta", "none")
        run(folder, str(programs / "openapi-python-client"), "generate", *made)
        made_too = ("-g", "python", "-i", "openapi.json", "-o", ".")
        generator = str(programs / "openapi-generator-cli")
        run(folder, generator, "generate", *made_too, "--package-name", "generated_too")
        scripts = {"kserve": KSERVE, "openapi-python-client": PYTHON_CLIENT}
        for client, script in {**scripts, "openapi-generator": GENERATOR}.items():
            labels = run(folder, str(programs / "python"), "-c", script, url, "image.png").split()
            assert set(labels) == {label_of(IMAGE)}, (client, labels)
            print(f"{client}: {len(labels)} uploads, each answered as it should be")


if __name__ == "__main__":
    main()
