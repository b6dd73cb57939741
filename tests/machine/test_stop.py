"""Stops, reboots and the end of the machine."""

import re
import time

from testkit.aws.imds import INSTANCE_ID, imds_server
from testkit.images.pictures import encoded, numbered, photo
from testkit.machine.host import CLASSIFIERS, DAEMONS, SCALER, Host
from testkit.processes.waiting import wait_until

IMAGES = [encoded(numbered(n)) for n in range(60)]
LOAD = 200


def test_stop_under_load_drains_in_time_and_loses_nothing(service: Host) -> None:
    service.machine.systemctl("stop", *CLASSIFIERS)
    jobs = [f"under-load-{n}" for n in range(LOAD)]
    service.aws.send_request(jobs[0], photo(4000, 3000))
    for job in jobs[1:]:
        service.aws.send_request(job, None, key=f"images/{jobs[0]}")
    service.machine.systemctl("start", "--no-block", *CLASSIFIERS)
    wait_until(lambda: service.aws.keys("results/under-load-"), 120, "the first results")

    began = time.monotonic()
    service.machine.systemctl("stop", *DAEMONS)
    seconds = time.monotonic() - began
    left = LOAD - len(service.aws.keys("results/under-load-"))
    print(f"stopped in {seconds:.1f} s with {left} of {LOAD} jobs left")
    assert left > 0
    assert service.aws.counts() == (left, 0)  # what was in flight is handed back at once
    for unit in DAEMONS:
        assert service.machine.show(unit, "Result") == "success", unit
        assert service.machine.show(unit, "ExecMainStatus") == "0", unit
        limit = service.machine.show(unit, "TimeoutStopUSec").removesuffix("s").split("min ")
        assert seconds < sum(60**place * int(part) for place, part in enumerate(reversed(limit)))
    service.machine.systemctl("start", "visionfleet.target", *CLASSIFIERS)
    service.results(jobs)


def test_reboot_brings_every_daemon_back(service: Host) -> None:
    jobs = service.upload_all(IMAGES)
    print(f"booted in {service.machine.reboot():.1f} s")
    wait_until(
        lambda: service.machine.show("visionfleet.target", "ActiveState") == "active",
        90,
        "the target to be reached",
    )
    for unit in DAEMONS:
        assert service.machine.show(unit, "ActiveState") == "active"
        ready = ready_seconds(service, unit)
        print(f"{unit} ready {ready:.1f} s after its start")
    print(service.machine.run("systemd-analyze", "time").stdout.splitlines()[0])
    service.results([*jobs, *service.upload_all(IMAGES[:1])], 90)


def ready_seconds(service: Host, unit: str) -> float:
    began, ready = (
        int(service.machine.show(unit, f"{name}Monotonic"))
        for name in ("InactiveExitTimestamp", "ActiveEnterTimestamp")
    )
    return (ready - began) / 1e6


def test_idle_worker_without_a_scaler_ends_its_machine(service: Host) -> None:
    alone = "{ec2_instance: true, cpus_per_worker: null, idle_shutdown_seconds: 5}"
    with (
        imds_server() as ec2,
        service.settings(f"classifier: {alone}\n", AWS_EC2_METADATA_SERVICE_ENDPOINT=ec2.url),
    ):
        ec2.documents[INSTANCE_ID] = b"i-0123456789abcdef0"
        service.machine.systemctl("stop", SCALER)
        service.machine.systemctl("daemon-reload")  # the generator adds what waits for the wish
        service.machine.systemctl("start", "visionfleet.target", "visionfleet-poweroff.path")
        service.machine.systemctl("stop", SCALER)
        service.machine.systemctl("restart", CLASSIFIERS[0])
        # A minute after the lease has ended, for clocks differ; then the shutdown itself.
        service.machine.wait_for_power_off(150)
        service.machine.boot()
    service.machine.systemctl("daemon-reload")  # it has a classifier for each CPU again
    service.machine.systemctl("start", "visionfleet.target", *CLASSIFIERS)
    said = service.machine.journal("-b", "-1", "-u", CLASSIFIERS[0])
    assert re.search(r"idle", said)
