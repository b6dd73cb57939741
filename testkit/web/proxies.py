"""nginx and HAProxy in front of a web daemon, with the configurations of docs/proxies.md."""

import getpass
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from testkit import ROOT
from testkit.processes.daemons import started
from testkit.processes.ports import accepts, free_port
from testkit.processes.waiting import wait_until

DOCUMENT = ROOT / "docs" / "proxies.md"
# The ports as they stand in the document.
DAEMON_PORT, NGINX_PORT, HAPROXY_PORT = 8080, 8081, 8082
_NGINX = """
daemon off;
user {user};
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u;
    scgi_temp_path {folder}/s;
    include {folder}/visionfleet.conf;
}}
"""


def documented(language: str) -> str:
    """Read the one block of a language from the document."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return str(block)


def settings() -> dict[str, str]:
    """Read the daemon's documented settings, as a test hands them over."""
    web = yaml.safe_load(documented("yaml"))["web"]
    assert (web.pop("address"), web.pop("port")) == ("127.0.0.1", DAEMON_PORT)
    return {
        f"WEB__{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in web.items()
    }


@contextmanager
def nginx(folder: Path, daemon: int, changes: Mapping[str, str]) -> Iterator[str]:
    """Run nginx; `changes` replace lines of its documented configuration. The value is its URL."""
    port = free_port()
    block = _changed("nginx", {DAEMON_PORT: daemon, NGINX_PORT: port}, changes)
    (folder / "visionfleet.conf").write_text(block)
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, user=getpass.getuser()))
    argv = [_found("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with _running(argv, folder, port) as url:
        yield url


@contextmanager
def haproxy(folder: Path, daemon: int) -> Iterator[str]:
    port = free_port()
    block = _changed("haproxy", {DAEMON_PORT: daemon, HAPROXY_PORT: port}, {})
    (folder / "haproxy.cfg").write_text(block)
    argv = [_found("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]
    with _running(argv, folder, port) as url:
        yield url


def _changed(language: str, ports: Mapping[int, int], changes: Mapping[str, str]) -> str:
    block = documented(language)
    for old, new in [(f":{a}", f":{b}") for a, b in ports.items()] + list(changes.items()):
        assert old in block, old
        block = block.replace(old, new)
    return block


@contextmanager
def _running(argv: list[str], folder: Path, port: int) -> Iterator[str]:
    with started(argv, log=folder / "proxy.log") as process:
        wait_until(lambda: accepts(port) or not process.running, 20, process.tail)
        assert process.running, process.tail()
        yield f"http://127.0.0.1:{port}"


def _found(program: str) -> str:
    """Find a proxy; without it a test skips at home and fails in CI."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        package = {"nginx": "nginx-light"}.get(program, program)
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs {program}: apt-get install {package}")
        pytest.skip(f"no {program}; on Debian: sudo apt-get install {package}")
    return found
