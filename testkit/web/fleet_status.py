"""A fleet status as the scaler writes it, with the rise and fall of a busy half hour."""

from typing import Any

LAUNCH = "launch 4: 40 waiting and 0 in flight need 4, there are 0"
_HISTORY = [
    (-1500.0, 0, 0, 0, ""),
    (-1200.0, 40, 0, 0, LAUNCH),
    (-1190.0, 30, 10, 4, ""),
    (-1100.0, 0, 0, 4, ""),
    (-900.0, 0, 0, 2, "drain 2: needed 2 of 4 for the hold window"),
    (-700.0, 0, 0, 0, "terminate 2: drained or dead"),
    (-120.0, 60, 16, 6, "launch 6: 76 waiting and 0 in flight need 6, there are 0"),
]


def fleet_status(now: float, **fields: object) -> dict[str, Any]:
    """Make a status; `fields` take the place of what it says."""
    history = [
        {"at": now + at, "visible": visible, "in_flight": held, "workers": workers, "reason": why}
        for at, visible, held, workers, why in _HISTORY
    ]
    return {
        "v": 1,
        "at": now,
        "visible": 23,
        "in_flight": 16,
        "minimum": 0,
        "maximum": 8,
        "states": {"busy": 4, "idle": 1, "booting": 1},
        "decision": history[-1]["reason"],
        "decided_at": now - 120,
        "history": history,
        **fields,
    }
