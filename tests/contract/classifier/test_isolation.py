"""Child processes that images are met in: what their end says of the image, and who waits."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testkit import ROOT
from testkit.processes.daemons import family, started
from testkit.processes.waiting import wait_until
from visionfleet.classifier.isolation import ChildFailed, Isolation
from visionfleet.errors import BadImage

CHILD = str(ROOT / "testkit" / "classifier" / "executing_child.py")

Children = Callable[..., Isolation]


@pytest.fixture
def children() -> Iterator[Children]:
    made: list[Isolation] = []

    def make(
        *command: str, limit: float = 20.0, slow_places: int = 0, retry_crashed: bool = False
    ) -> Isolation:
        argv = command or (sys.executable, CHILD)
        made.append(Isolation(argv, "decoded", limit, 1, 0.1, slow_places, retry_crashed, keep=1))
        return made[-1]

    yield make
    for isolation in made:
        isolation.close()


def test_child_answers_with_a_payload_and_is_kept(children: Children) -> None:
    isolation = children()
    image = b"pass  #" + bytes(range(32, 127)) * 20_000  # more than any socket takes at once
    said, payload = isolation.ask({}, image)
    assert payload == image[::-1]
    assert isolation.ask({}, b"pass")[0] == said


def test_large_payloads_are_not_kept_in_memory(children: Children) -> None:
    isolation = children()
    before = payload_bytes()
    for image in (b"pass  #" + b"x" * (8 << 20), b"pass  #small"):
        assert isolation.ask({}, image)[1] == image[::-1]
    assert payload_bytes() - before < 1 << 20


def payload_bytes() -> int:
    """What this process shares with its children."""
    files = [file for file in Path("/proc/self/fd").iterdir() if file.exists()]
    return sum(f.stat().st_size for f in files if f.readlink().name.startswith("memfd:payload"))


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_image_that_kills_the_child_is_reported(children: Children, number: signal.Signals) -> None:
    isolation = children()
    with pytest.raises(BadImage, match=f"signal {number.value}") as caught:
        isolation.ask({}, f"os.kill(os.getpid(), {number.value})".encode())
    assert caught.value.code == "crashed"
    assert isolation.ask({}, b"pass")[1] == b"ssap", "the next one has a child of its own"


def test_image_that_ends_the_child_is_reported(children: Children) -> None:
    with pytest.raises(BadImage, match="status 3"):
        children().ask({}, b"os._exit(3)")


@pytest.mark.parametrize(
    "said",
    ["5", "[]", "[1]", "[-1, {}]", '["x", {}]', "[true, 7]", "[1e9, {}]", f"[{1 << 45}, {{}}]"],
)
def test_answer_that_is_garbage_is_that_of_a_crash(children: Children, said: str) -> None:
    isolation = children()
    grown = "os.ftruncate(4, 1 << 45)" if str(1 << 45) in said else "pass"
    with pytest.raises(BadImage, match="ends the process"):
        isolation.ask({}, f"{grown}; os.write(0, {said.encode()!r}); time.sleep(9)".encode())
    assert isolation.ask({}, b"pass")[1] == b"ssap", "the next one has a child of its own"


def test_image_is_tried_once_more(children: Children, tmp_path: Path) -> None:
    """The kernel may have ended the child for the memory of somebody else."""
    mark = tmp_path / "seen"
    once = f"""
import pathlib
if not pathlib.Path({str(mark)!r}).exists():
    pathlib.Path({str(mark)!r}).touch()
    os.kill(os.getpid(), 9)
""".encode()
    assert children(retry_crashed=True).ask({}, once)
    with pytest.raises(BadImage):
        children(retry_crashed=True).ask({}, b"os.kill(os.getpid(), 9)")


def test_child_that_died_at_rest_blames_no_image(children: Children) -> None:
    isolation = children(retry_crashed=True)
    pid = isolation.ask({}, b"pass")[0]["pid"]
    with pytest.raises(BadImage):
        isolation.ask({}, b"os._exit(3)")
    assert isolation.ask({}, b"pass")[0]["pid"] != pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_stop_of_a_child_does_not_blame_the_image(
    children: Children, number: signal.Signals
) -> None:
    code = f"signal.signal({number.value}, signal.SIG_DFL); os.kill(os.getpid(), {number.value})"
    with pytest.raises(ChildFailed, match="was stopped"):
        children().ask({}, code.encode())


@pytest.mark.parametrize("hang", ["time.sleep(60)", "os.kill(os.getpid(), signal.SIGSTOP)"])
def test_child_that_hangs_is_killed(children: Children, hang: str) -> None:
    with pytest.raises(BadImage, match=r"not decoded within 0\.5 s"):
        children(limit=0.5).ask({}, hang.encode())


def test_image_of_a_child_that_was_stopped_is_tried_once_more(children: Children) -> None:
    isolation = children(limit=0.5, retry_crashed=True)
    stopped = int(isolation.ask({}, b"pass")[0]["pid"])
    os.kill(stopped, signal.SIGSTOP)
    assert isolation.ask({}, b"pass")[0]["pid"] != stopped
    with pytest.raises(BadImage, match=r"not decoded within 0\.5 s"):
        isolation.ask({}, b"time.sleep(60)")


def test_time_in_which_all_were_stopped_blames_no_image(tmp_path: Path) -> None:
    """As when a container is paused, and by a debugger: the child goes on with its parent."""
    begun = tmp_path / "begun"
    code = f"open({str(begun)!r}, 'w'); time.sleep(1)"
    asks = f"Isolation((sys.executable, {CHILD!r}), 'decoded', 2.5).ask({{}}, {code.encode()!r})"
    script = f"import sys\nfrom visionfleet.classifier.isolation import Isolation\n{asks}"
    with started([sys.executable, "-c", script], tmp_path / "log") as parent:
        wait_until(begun.exists)
        whole = family(parent.pid)
        for pid in whole:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3)
        for pid in whole:
            os.kill(pid, signal.SIGCONT)
        parent.assert_exit(0)


def test_child_is_bounded_in_memory_and_processor_time(children: Children) -> None:
    isolation = children(retry_crashed=True)
    grow = b"try: bytearray(200 << 20)\nexcept MemoryError: pass\nelse: os._exit(9)"
    isolation.ask({}, grow)
    with pytest.raises(BadImage, match="signal 24"):
        isolation.ask({}, b"while True: pass")


def test_failed_start_does_not_blame_the_image(children: Children) -> None:
    with pytest.raises(ChildFailed, match="status 3"):
        children(sys.executable, "-c", "import sys; sys.exit(3)").ask({}, b"")
    with pytest.raises(ChildFailed, match="No such file"):
        children("/nowhere").ask({}, b"")


def test_slow_image_makes_way_for_others(children: Children, tmp_path: Path) -> None:
    isolation, begun, go = children(limit=60.0, slow_places=1), tmp_path / "begun", tmp_path / "go"
    waits = f"open({str(begun)!r}, 'w')\nwhile not os.path.exists({str(go)!r}): time.sleep(.02)"
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(isolation.ask, {}, waits.encode())
        wait_until(begun.exists)
        isolation.ask({}, b"pass")
        assert not slow.done()
        go.touch()
        assert slow.result()


def test_waiting_images_share_a_child_that_is_not_kept(children: Children) -> None:
    isolation = children()
    isolation.keep = 0
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: isolation.ask({}, b"time.sleep(.1)"), range(4)))
    assert len({said["pid"] for said, _ in answers}) == 1
    assert isolation.ask({}, b"pass")[0]["pid"] not in {said["pid"] for said, _ in answers}
