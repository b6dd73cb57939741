"""Daemons that hang or die on a booted machine: systemd starts them again, and no job is lost."""

import time

from testkit.images.pictures import encoded, numbered
from testkit.machine.host import DAEMONS, Host

IMAGES = [encoded(numbered(n)) for n in range(60)]


def hit_all_daemons(host: Host, signal: str) -> dict[str, float]:
    """Hit all daemons at once while they work; tells the seconds until each was ready again."""
    jobs = host.upload_all(IMAGES)
    assert len(jobs) == len(IMAGES)
    lives = {unit: host.pid(unit) for unit in DAEMONS}
    struck = time.monotonic()
    host.machine.run("kill", f"-{signal}", *map(str, lives.values()))
    seconds = {}
    for unit, pid in lives.items():
        host.wait_for_new_life(unit, pid, 90)
        seconds[unit] = time.monotonic() - struck
    host.results(jobs, 90)
    print(f"after {signal}: " + ", ".join(f"{unit} {s:.1f} s" for unit, s in seconds.items()))
    return seconds


def test_killed_daemons_restart_and_no_job_is_lost(service: Host) -> None:
    hit_all_daemons(service, "KILL")


def test_watchdog_restarts_hung_daemons_and_no_job_is_lost(service: Host) -> None:
    hit_all_daemons(service, "STOP")
    for unit in DAEMONS:
        assert f"{unit}: Watchdog timeout" in service.machine.journal("-u", unit)


def test_uploads_are_accepted_while_no_classifier_runs(service: Host) -> None:
    service.machine.systemctl("stop", "visionfleet-classifiers.target")
    jobs = service.upload_all(IMAGES[:10])
    assert len(jobs) == 10
    service.machine.systemctl("start", "visionfleet-classifiers.target")
    service.results(jobs)
