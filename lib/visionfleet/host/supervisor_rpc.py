"""supervisor's XML-RPC over its unix socket, using only the standard library."""

import http.client
import socket
import xmlrpc.client
from collections.abc import Mapping
from typing import Any

from visionfleet.host.process import EXIT_CONFIG

SCHEME = "unix://"
GROUP = "classifier"  # the workers' program in etc/supervisor


def has_refused(process: Mapping[str, Any]) -> bool:
    """Whether a process of getAllProcessInfo has exited with a configuration error."""
    return (process["statename"], process["exitstatus"]) == ("EXITED", EXIT_CONFIG)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class UnixTransport(xmlrpc.client.Transport):
    """An XML-RPC transport with a new connection for each call, without retries."""

    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__()
        self.path = path
        self.timeout_seconds = timeout_seconds

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = UnixConnection(self.path, self.timeout_seconds)
        self._connection = (host, connection)  # for close()
        return connection

    def request(self, host: Any, handler: str, request_body: Any, verbose: bool = False) -> Any:
        try:
            return self.single_request(host, handler, request_body, verbose)
        except (http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise OSError(f"no XML-RPC answer at {SCHEME}{self.path}: {error!r}") from error
        finally:
            self.close()


def listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except TimeoutError:
            return True  # listening, but busy
        except OSError:
            return False
        return True


def connect(server_url: str, timeout_seconds: float = 10.0) -> xmlrpc.client.ServerProxy:
    """Make a proxy for supervisor at the address that its children get; no I/O yet.

    A call raises OSError if supervisor cannot be reached, times out or sends malformed XML-RPC, and
    xmlrpc.client.Fault if supervisor refuses.
    """
    if not server_url.startswith(SCHEME + "/"):
        raise ValueError(f"{server_url!r} is not of the form unix:///path/of/the.sock")
    transport = UnixTransport(server_url.removeprefix(SCHEME), timeout_seconds)
    return xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport)
