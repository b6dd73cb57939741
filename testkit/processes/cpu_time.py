"""What a piece of work costs, whatever else the machine and this process do."""

import gc
import time
from collections.abc import Callable


def takes_less_than(limit_seconds: float, work: Callable[[], object]) -> bool:
    """Tell whether the work takes so few CPU seconds of this thread, once in three tries.

    Other work makes each of them longer.
    """
    return any(cpu_seconds(work) < limit_seconds for _ in range(3))


def cpu_seconds(work: Callable[[], object]) -> float:
    """Do it without the garbage collector: its passes are longer the more other tests have left."""
    gc.disable()
    try:
        began = time.thread_time()
        work()
        return time.thread_time() - began
    finally:
        gc.enable()
