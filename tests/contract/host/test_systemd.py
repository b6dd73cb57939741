"""Notifications to systemd: readiness, watchdog, status."""

import logging
import os
from typing import NoReturn

import pytest

from testkit.processes.notify_socket import notify_socket as listening
from testkit.processes.waiting import wait_until
from visionfleet.host import systemd
from visionfleet.host.systemd import Notifier, watchdog_seconds
from visionfleet.host.watchdog import Watchdog


def test_watchdog_is_notified_through_systemd() -> None:
    assert watchdog_seconds({}) is None
    assert watchdog_seconds({"WATCHDOG_USEC": "30000000"}) == 30.0
    assert watchdog_seconds({"WATCHDOG_USEC": "1", "WATCHDOG_PID": str(os.getpid())}) == 1e-6
    assert watchdog_seconds({"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}) is None
    assert watchdog_seconds({"WATCHDOG_USEC": "soon"}) is None


def test_no_notification_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    systemd.notify("READY=1")


def crashed(error: BaseException) -> NoReturn:
    raise error


def test_stuck_loop_is_logged_once_and_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    loops = Watchdog(lambda: now[0], {"model": 5.0})
    log = logging.getLogger("classifier")
    with listening() as listener:
        monkeypatch.setenv("NOTIFY_SOCKET", listener.address)
        notifier = Notifier(log, loops, 0.2, lambda: "idle", crashed)
        notifier.ready()
        loops.step("model")
        wait_until(lambda: listener.count("WATCHDOG=1") > 3, 10)
        now[0] = 6.0
        wait_until(lambda: listener.count("WATCHDOG=trigger") > 3, 10)
        signs = listener.count("WATCHDOG=1")
        notifier.stopping(12.0)
        wait_until(lambda: listener.count("WATCHDOG=1") > signs, 10)
        assert (listener.count("READY=1"), listener.count("STATUS=idle")) == (1, 1)
        assert "STOPPING=1\nEXTEND_TIMEOUT_USEC=12000000" in listener.told
    (told,) = [record for record in caplog.records if record.message == "no progress"]
    assert told.__dict__["reason"] == "the model has been at one step for 6 s"
