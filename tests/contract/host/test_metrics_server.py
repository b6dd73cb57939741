"""The port for Prometheus, over real sockets."""

import urllib.request
from contextlib import closing

import pytest
from prometheus_client import CollectorRegistry, Counter

from testkit.processes.ports import free_port
from visionfleet.host.metrics_server import serve


def made() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    return registry


def test_metrics_server_adds_process_metrics() -> None:
    with closing(serve(made(), "127.0.0.1", free_port())) as server:
        text = urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics").read().decode()
    assert "things_total 3.0" in text
    assert "process_cpu_seconds_total" in text


def test_metrics_server_takes_the_next_free_port() -> None:
    with closing(serve(made(), "127.0.0.1", free_port())) as first:
        with closing(serve(made(), "127.0.0.1", first.port, tries=20)) as second:
            assert first.port < second.port < first.port + 20
        with pytest.raises(OSError, match="in use"):
            serve(made(), "127.0.0.1", first.port)
