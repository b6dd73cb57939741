"""Looks and decides, prints what would be done, and touches neither lease nor fleet."""

import sys
import time
from collections.abc import Callable

from visionfleet.errors import TryLater
from visionfleet.scaler.autoscaler import Rule, learned
from visionfleet.scaler.decision import Decision, History
from visionfleet.scaler.observation import Observer
from visionfleet.scaler.status_store import StatusStore


def run(
    observer: Observer,
    record: StatusStore,
    rule: Rule,
    wait: Callable[[float], bool],
    interval_seconds: float,
) -> int:
    """Print each decision that differs from the last, until `wait` says that it is the end.

    Returns the exit status: 1 when the last look failed.
    """
    history, told, over = _history(record), "", False
    while not over:
        failed = False
        try:
            look = observer.look(time.time())
        except TryLater as error:
            failed, text = True, f"cannot look: {error}"
        else:
            decision, history = rule.decide(look.seen, rule.policy, history, look.at)
            text = "\n".join(steps(decision))
        if text != told:
            print(text, file=sys.stderr if failed else sys.stdout, flush=True)
            told = text
        over = wait(interval_seconds)
    return int(failed)


def _history(record: StatusStore) -> History:
    """Begin with the times that the acting scaler has learned."""
    try:
        status = record.restore()
    except TryLater:
        return History()
    return History() if status is None else learned(History(), status)


def steps(decision: Decision) -> list[str]:
    """Say in words what a decision would do, one line a step, and why."""
    words = [f"would launch {decision.launch}"] if decision.launch else []
    words += [f"would ask {name} to drain" for name in decision.drain]
    words += [f"would terminate {name}" for name in decision.terminate]
    return [*(words or ["would do nothing"]), f"because: {decision.reason}"]
