"""A rolling restart of two web processes on one port under load: no request fails."""

import socket
from contextlib import ExitStack, suppress
from pathlib import Path

from testkit.aws.embedded import Cloud
from testkit.classifier.stand_in import stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until
from testkit.web.daemon import reply_queues, web_daemon
from testkit.web.load import ClientLoad, client_load
from visionfleet.web.http.server import drop_new_connections

IMAGE = encoded(numbered(0))


def test_rolling_restart_fails_no_request(aws: Cloud, tmp_path: Path) -> None:
    port = free_port()
    shared = {"WEB__PORT": str(port), "WEB__SHARE_PORT": "true"}
    with ExitStack() as running, stand_in(aws, threads=2):
        old = [running.enter_context(web_daemon(aws, tmp_path, **shared)) for _ in range(2)]
        with (
            client_load(port, IMAGE, new=4, kept=4) as clients,
            client_load(port, b"", new=8, kept=2) as quick,
        ):
            wait_for_more(clients, 100)
            for web in old:
                status, seconds = web.process.stop(30)
                assert (status, seconds < 20) == (0, True), web.process.tail()
                running.enter_context(web_daemon(aws, tmp_path, **shared))
                wait_for_more(clients, 100)
        assert clients.failures + quick.failures == []
        assert len(reply_queues(aws)) == 2
        print(f"{clients.answered} uploads and {quick.answered} others, none failed")


def wait_for_more(clients: ClientLoad, answers: int) -> None:
    before = clients.answered
    wait_until(lambda: clients.answered > before + answers, 120, "load")


def test_idle_connection_may_send_one_more_request_on_stop(aws: Cloud, tmp_path: Path) -> None:
    with stand_in(aws), web_daemon(aws, tmp_path) as web:
        with web.connect(10) as idle:
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(65536).startswith(b"HTTP/1.1 200")
            web.process.signal(15)
            web.process.wait_for_output("stopping")
            idle.sendall(
                b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
                b"Content-Length: %d\r\n\r\n" % len(IMAGE) + IMAGE
            )
            answer = idle.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"Connection: close" in answer
        web.process.assert_exit(0)


def test_leaving_listener_loses_no_connection() -> None:
    first = listener(0)
    port = first.getsockname()[1]
    with ExitStack() as open_:
        second = open_.enter_context(listener(port))
        early = [open_.enter_context(begun(port)) for _ in range(40)]
        wait_until(lambda: all(connected(one) for one in early), 30, "early ones to connect")
        drop_new_connections(first)
        late = [open_.enter_context(begun(port)) for _ in range(40)]
        held = [open_.enter_context(one) for one in accepted(first)]
        assert 0 < len(held) < 40, "what was there before is still to be had, and nothing else"
        first.close()
        wait_until(lambda: all(connected(one) for one in early + late), 30, "all to connect")
        held += [open_.enter_context(one) for one in accepted(second)]
        assert len(held) == 80


def listener(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    made.listen(128)
    made.setblocking(False)
    return made


def begun(port: int) -> socket.socket:
    made = socket.socket()
    made.setblocking(False)
    made.connect_ex(("127.0.0.1", port))
    return made


def connected(one: socket.socket) -> bool:
    state = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state == 1  # TCP_ESTABLISHED


def accepted(at: socket.socket) -> list[socket.socket]:
    """Accept all that waits; both ends of a connection on one machine are ready at once."""
    found = []
    with suppress(BlockingIOError):
        while True:
            found.append(at.accept()[0])
    return found
