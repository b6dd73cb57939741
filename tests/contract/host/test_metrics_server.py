"""The port for Prometheus, over real sockets."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry, Counter

from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until
from visionfleet.host import metrics_server
from visionfleet.host.metrics_server import MAX_CONNECTIONS, MetricsServer, serve


def made() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    return registry


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    with closing(serve(made(), "127.0.0.1", free_port())) as found:
        yield found


def scraped(server: MetricsServer) -> str:
    with urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=60) as answer:
        return str(answer.read().decode())


def test_metrics_server_adds_process_metrics(server: MetricsServer) -> None:
    text = scraped(server)
    assert "things_total 3.0" in text
    assert "process_cpu_seconds_total" in text


def test_metrics_server_takes_the_next_free_port() -> None:
    with closing(serve(made(), "127.0.0.1", free_port())) as first:
        with closing(serve(made(), "127.0.0.1", first.port, tries=20)) as second:
            assert first.port < second.port < first.port + 20
        with pytest.raises(OSError, match="in use"):
            serve(made(), "127.0.0.1", first.port)


@pytest.mark.parametrize("sent", [b"", b"GET /metr", b"GET / HTTP/1.1\r\nX: "])
def test_silent_connections_hold_few_threads(server: MetricsServer, sent: bytes) -> None:
    before, clients = threading.active_count(), []
    for _ in range(5 * MAX_CONNECTIONS):
        clients.append(socket.create_connection(("127.0.0.1", server.port), 60))
        clients[-1].sendall(sent)
    assert "things_total 3.0" in scraped(server)
    few = before + MAX_CONNECTIONS
    wait_until(lambda: threading.active_count() <= few, 60, "the first ones' end")
    with suppress(ConnectionResetError):
        assert clients[0].recv(1) == b""
    for client in clients:
        client.close()
    wait_until(lambda: threading.active_count() <= before, 60, "the end of all")


def test_connection_that_stalls_is_closed(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_server.Connection, "timeout", 0.1)
    with socket.create_connection(("127.0.0.1", server.port), 60) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        assert client.recv(1) == b""


def test_many_may_scrape_at_once(server: MetricsServer) -> None:
    with ThreadPoolExecutor(MAX_CONNECTIONS // 2) as pool:
        found = list(pool.map(scraped, [server] * 3 * MAX_CONNECTIONS))
    assert all("things_total 3.0" in text for text in found)
