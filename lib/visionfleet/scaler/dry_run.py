"""Observes and decides, prints the decisions, and touches neither lease nor fleet."""

import sys
import time
from collections.abc import Callable

from visionfleet.errors import VisionfleetError
from visionfleet.scaler.autoscaler import RECHECK_SECONDS
from visionfleet.scaler.decision import Decision, History, Policy
from visionfleet.scaler.observation import FleetObserver
from visionfleet.scaler.sizing import POLICIES
from visionfleet.scaler.status import learned
from visionfleet.scaler.status_store import StatusStore


def run(
    observer: FleetObserver,
    status_store: StatusStore,
    policy: Policy,
    wall: Callable[[], float],
    wait: Callable[[float], bool],
    pause: Callable[[float], object] = time.sleep,
) -> int:
    """Print each new decision until `wait` returns true; 1 if the last observation failed.

    Decides as the scaler does, with a second observation where the count may be wrong.
    """
    decide = POLICIES[policy.settings.policy]
    history, told, over = _history(status_store), "", False
    while not over:
        failed, decision = False, None
        try:
            while decision is None or decision.recheck:
                if decision is not None:
                    pause(RECHECK_SECONDS)
                now = time.monotonic()
                decision, history = decide(observer.observe(now, wall()), policy, history, now)
        except VisionfleetError as error:
            failed, text = True, f"cannot look: {error}"
        else:
            text = "\n".join(steps(decision))
        if text != told:
            print(text, file=sys.stderr if failed else sys.stdout, flush=True)
            told = text
        over = wait(policy.settings.interval_seconds)
    return int(failed)


def _history(status_store: StatusStore) -> History:
    try:
        return learned(History(), status_store.restore())
    except VisionfleetError:
        return History()


def steps(decision: Decision) -> list[str]:
    words = [f"would launch {decision.launch}"] if decision.launch else []
    words += [f"would ask {name} to drain" for name in decision.drain]
    words += [f"would terminate {name}" for name in decision.terminate]
    return [*(words or ["would do nothing"]), f"because: {decision.reason}"]
