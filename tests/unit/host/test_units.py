"""The units agree with the daemons and the configuration that they are made for."""

import pytest

from testkit import ROOT
from visionfleet.config.schema import Config
from visionfleet.host.process import EXIT_CONFIG

SYSTEMD = ROOT / "systemd"
SERVICES = ("visionfleet-web.service", "visionfleet-scaler.service")
DAEMONS = (*SERVICES, "visionfleet-classifier@.service")
# What a daemon may take beyond the limit that is configured, to say its last words.
MARGIN_SECONDS = 10


def settings(unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (SYSTEMD / unit).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize(
    ("unit", "stop_seconds"),
    [
        (SERVICES[0], Config().web.unready_seconds + Config().web.stop_seconds),
        (DAEMONS[2], Config().classifier.stop_seconds),
    ],
)
def test_unit_stop_timeouts_cover_stop_seconds(unit: str, stop_seconds: float) -> None:
    assert settings(unit)["TimeoutStopSec"] == [f"{stop_seconds + MARGIN_SECONDS:.0f}"]


@pytest.mark.parametrize("unit", DAEMONS)
def test_units_have_watchdog_reload_and_no_restart_on_78(unit: str) -> None:
    found = settings(unit)
    command = found["ExecStart"][0].split()[0]
    assert found["Type"] == ["notify"]
    assert float(found["WatchdogSec"][0]) > 0
    assert found["RestartPreventExitStatus"] == [str(EXIT_CONFIG)]
    assert found["ExecReload"] == [f"{command} --check-config", "/bin/kill -HUP $MAINPID"]
    assert found["User"] == ["visionfleet"]


@pytest.mark.parametrize("unit", sorted(p.name for p in SYSTEMD.glob("*.[stp]*[!h]")))
def test_every_unit_file_is_installed(unit: str) -> None:
    assert unit in (SYSTEMD / "install.sh").read_text()


def test_uninstall_removes_what_install_made() -> None:
    text = (SYSTEMD / "install.sh").read_text()
    assert text.count("sysusers.d/visionfleet.conf") == 2
    assert text.count("system-preset/50-visionfleet.preset") == 2
