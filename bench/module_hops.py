"""How often one upload changes module on its way through the web daemon.

Run as `python -m bench.module_hops`: it starts the embedded AWS and a web daemon under a profile
hook, a stand-in answers, and the second plain `POST /` of a fresh connection is followed, from its
accept until its reply is deleted. Counted are changes of module within each thread, among the
modules of the product; `--list` prints them.
"""

import contextlib
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import requests

from testkit.aws.embedded import cloud
from testkit.classifier.stand_in import stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import started_module
from testkit.processes.ports import free_port

TRACE = "MODULE_HOPS_TRACE"
_OURS = re.compile(r"/(visionfleetd?/[\w/]+)\.py$")
# An idle daemon is followed for so long after the answer: the reply is deleted by then.
SETTLE_SECONDS = 1.0


def main() -> None:
    """Follow an upload and print the count."""
    if TRACE in os.environ:
        _daemon()
        return
    with tempfile.TemporaryDirectory() as folder:
        hops = list(_hops(Path(folder)))
    if "--list" in sys.argv:
        print(*hops, sep="\n")
    print(f"{len(hops)} changes of module")


def _daemon() -> None:
    """Be the web daemon, and write each call with its time and thread."""
    out = Path(os.environ[TRACE]).open("w", buffering=1)  # noqa: SIM115

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call":
            return
        if found := _OURS.search(frame.f_code.co_filename):
            called = f"{threading.get_ident()} {found[1]} {frame.f_code.co_name}"
            out.write(f"{time.monotonic()} {called}\n")

    threading.setprofile(note)
    sys.setprofile(note)
    from visionfleetd.web.main import main as web

    web(sys.argv[1:])


def _hops(folder: Path) -> Iterator[str]:
    trace, port = folder / "trace", free_port()
    with cloud(folder) as aws, contextlib.ExitStack() as running:
        environment = {**aws.environment, "VISIONFLEET_WEB__PORT": str(port), TRACE: str(trace)}
        log = folder / "web.log"
        config = folder / "visionfleet.yaml"
        config.write_text("{}\n")
        arguments = ("--config", str(config))
        web = running.enter_context(
            started_module("bench.module_hops", *arguments, log=log, env=environment)
        )
        web.wait_for_output("web: ready", 30)
        running.enter_context(stand_in(aws))
        for _ in range(2):
            began = time.monotonic()
            files = {"file": ("test.jpeg", encoded(numbered(0)))}
            answer = requests.post(f"http://127.0.0.1:{port}/", files=files, timeout=30)
            assert answer.status_code == 200, answer.text
            time.sleep(SETTLE_SECONDS)
        ended, last = time.monotonic(), dict[str, str]()
        for line in trace.read_text().splitlines():
            at, thread, module, function = line.split()
            if began <= float(at) <= ended and last.get(thread) != module:
                last[thread] = module
                yield f"{thread[-4:]} {module} {function}"


if __name__ == "__main__":
    main()
