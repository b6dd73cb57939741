"""The CPU of one call of S3 by several ways, against a server that answers by heart.

pycurl and awscrt, which are no dependencies of ours, are tried where they are installed.
"""

import asyncio
import importlib
import io
import multiprocessing
import os
import time
from collections.abc import Callable
from typing import Any

import boto3
import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from bench.figures import median, save, show
from visionfleet.aws.clients import ClientFactory
from visionfleet.aws.direct_calls import SigningKey

CALLS, WARM_UP, ROUNDS = 1000, 50, 3
HEAD = (
    b"HTTP/1.1 200 OK\r\nx-amz-id-2: eftixk72aD6Ap51TnqcoF8eFidJG9Z/2mkiDFu8yU9AS1ed4OpIszj7UD\r\n"
    b"x-amz-request-id: 318BC8BC148832E5\r\nDate: Sat, 28 Nov 2026 22:49:04 GMT\r\n"
    b'Last-Modified: Sat, 28 Nov 2026 22:49:04 GMT\r\nETag: "1b2cf535f27731c974343645a3985328"\r\n'
    b"Server: AmazonS3\r\nContent-Type: application/octet-stream\r\n"
)
PHOTO, RESULT = os.urandom(100_000), os.urandom(600)
ASKED = {"content-type": "application/json", "if-none-match": "*"}
Way = Callable[[str, str, bytes, dict[str, str]], object]


class ByHeart(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self._transport, self._heard, self._told = transport, b"", False

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while (end := self._heard.find(b"\r\n\r\n")) >= 0:
            head = self._heard[:end].lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            if len(self._heard) < end + 4 + length:
                if b"100-continue" in head and not self._told:  # boto3 waits a second for it
                    self._told = True
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            self._heard, self._told = self._heard[end + 4 + length :], False
            body = PHOTO if head.startswith(b"get") else b""
            self._transport.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def serve(ports: "multiprocessing.Queue[int]") -> None:
    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(ByHeart, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


def ways(url: str) -> dict[str, Way]:
    host = url.removeprefix("http://")
    key = SigningKey(Credentials("test", "test"), "us-east-1", "s3")
    found = {"boto3": by_boto3(url), "urllib3, botocore signs": by_urllib3(url)}
    found |= {"direct": by_direct(url)}
    for name, way in (("pycurl", by_pycurl), ("awscrt", by_awscrt)):
        try:
            found[name] = way(host, key)
        except ImportError:
            print(f"{name} is not installed")
    return found


def by_boto3(url: str) -> Way:
    keys: Any = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    path = Config(s3={"addressing_style": "path"})
    s3: Any = boto3.client("s3", "us-east-1", endpoint_url=url, config=path, **keys)

    def call(method: str, key: str, body: bytes, _: dict[str, str]) -> object:
        if method == "GET":
            return s3.get_object(Bucket="b", Key=key)["Body"].read()
        return s3.put_object(Bucket="b", Key=key, Body=body, IfNoneMatch="*")

    return call


def by_urllib3(url: str) -> Way:
    pool = urllib3.PoolManager(retries=False)
    signer = S3SigV4Auth(Credentials("test", "test"), "s3", "us-east-1")

    def call(method: str, key: str, body: bytes, headers: dict[str, str]) -> object:
        request = AWSRequest(method, f"{url}/b/{key}", headers, body)
        signer.add_auth(request)
        signed = dict(request.headers.items())
        return pool.request(method, f"{url}/b/{key}", body=body or None, headers=signed).data

    return call


def by_direct(url: str) -> Way:
    factory = ClientFactory("us-east-1", url, 30.0, 1, placeholder_credentials=True)
    direct = factory.direct_s3(factory.client("s3"), "b", 1)
    assert direct

    def call(method: str, key: str, body: bytes, headers: dict[str, str]) -> object:
        return direct.get(key) if method == "GET" else direct.put(key, body, headers)

    return call


def by_pycurl(host: str, signing: SigningKey) -> Way:
    pycurl: Any = importlib.import_module("pycurl")
    curl = pycurl.Curl()

    def call(method: str, key: str, body: bytes, headers: dict[str, str]) -> object:
        signed = signing.signed(method, f"/b/{key}", body, {**headers, "host": host}, time.time())
        read, heads = io.BytesIO(), list[bytes]()
        curl.reset()
        curl.setopt(pycurl.URL, f"http://{host}/b/{key}")
        curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in signed.items()])
        curl.setopt(pycurl.WRITEFUNCTION, read.write)
        curl.setopt(pycurl.HEADERFUNCTION, heads.append)
        if body:
            curl.setopt(pycurl.CUSTOMREQUEST, method)
            curl.setopt(pycurl.POSTFIELDS, body)
        curl.perform()
        return read.getvalue()

    return call


def by_awscrt(host: str, signing: SigningKey) -> Way:
    http: Any = importlib.import_module("awscrt.http")
    crt: Any = importlib.import_module("awscrt.io")
    loops = crt.EventLoopGroup(1)
    bootstrap = crt.ClientBootstrap(loops, crt.DefaultHostResolver(loops))
    name, _, port = host.partition(":")
    kept = http.HttpClientConnection.new(name, int(port), bootstrap).result(10)

    def call(method: str, key: str, body: bytes, headers: dict[str, str]) -> object:
        signed = signing.signed(method, f"/b/{key}", body, {**headers, "host": host}, time.time())
        signed["content-length"] = str(len(body))
        given = http.HttpHeaders(list(signed.items()))
        request = http.HttpRequest(method, f"/b/{key}", given, io.BytesIO(body))
        read = bytearray()
        stream = kept.request(request, on_body=lambda chunk, **_: read.extend(chunk))
        stream.activate()
        stream.completion_future.result(30)
        return read

    return call


def main() -> None:
    ports: multiprocessing.Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(ports,), daemon=True)
    server.start()
    found = ways(f"http://127.0.0.1:{ports.get()}")
    rounds = [{name: both(way) for name, way in found.items()} for _ in range(ROUNDS)]
    server.terminate()
    middle = {
        name: {what: median([one[name][what] for one in rounds]) for what in ("get_us", "put_us")}
        for name in found
    }
    rows = [(name, *(f"{us:.0f}" for us in some.values())) for name, some in middle.items()]
    show("one call of S3", ("way", "get of 100 KB, us", "put of 600 bytes, us"), rows)
    print(f"written: {save('calls', {'calls': CALLS, 'runs': ROUNDS, 'ways': middle})}")


def both(way: Way) -> dict[str, float]:
    get = timed(lambda number: way("GET", f"images/{number}", b"", {}))
    put = timed(lambda number: way("PUT", f"results/{number}.json", RESULT, ASKED))
    return {"get_us": get, "put_us": put}


def timed(call: Callable[[int], object]) -> float:
    """CPU microseconds per call, of all threads of this process."""
    for number in range(WARM_UP):
        call(number)
    began = time.process_time()
    for number in range(CALLS):
        call(number)
    return 1e6 * (time.process_time() - began) / CALLS


if __name__ == "__main__":
    main()
