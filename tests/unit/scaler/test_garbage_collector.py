"""What the garbage collector may remove."""

import pytest

from visionfleet.scaler.garbage_collector import is_leftover, stale_heartbeat

NOW = 100_000.0
OLD, FRESH = str(int(NOW) - 1801), str(int(NOW) - 1800)


@pytest.mark.parametrize(
    ("tags", "stale", "shows"),
    [
        ({"visionfleet": "replies", "heartbeat": OLD}, True, "six heartbeats were missed"),
        ({"visionfleet": "replies", "heartbeat": FRESH}, False, "it may be alive"),
        ({"heartbeat": OLD}, False, "no tag of ours"),
        ({"visionfleet": "other", "heartbeat": OLD}, False, "ours, but of another kind"),
        ({"visionfleet": "replies"}, False, "no heartbeat: made a moment ago, or by hand"),
        ({"visionfleet": "replies", "heartbeat": "yesterday"}, False, "not a time"),
        ({"visionfleet": "replies", "heartbeat": "-5"}, False, "not a time either"),
        ({"visionfleet": "replies", "heartbeat": OLD, "team": "x"}, True, "more tags do no harm"),
        ({}, False, "no tags"),
    ],
)
def test_stale_reply_queues_are_collected(tags: dict[str, str], stale: bool, shows: str) -> None:
    assert (stale_heartbeat(tags, NOW) is not None) == stale, shows


@pytest.mark.parametrize(
    ("key", "age", "gone", "shows"),
    [
        ("fleet/workers/gone.json", 3601, True, "reported for the last time an hour ago"),
        ("fleet/drain/gone", 3601, True, "asked an hour ago"),
        ("fleet/workers/gone.json", 3599, False, "may yet report"),
        ("fleet/workers/member.json", 9999, False, "its worker exists"),
        ("fleet/drain/member", 9999, False, "its worker exists"),
        ("fleet/status.json", 9999, False, "not of a worker"),
        ("fleet/lease.json", 9999, False, "not of a worker"),
        ("fleet/launches/x.json", 9999, False, "not of a worker"),
        ("fleet/workers/a/b.json", 9999, False, "not a name of ours"),
        ("fleet/workers/notes.txt", 9999, False, "not a name of ours"),
        ("fleet/workers/.json", 9999, False, "not a name of ours"),
        ("fleet/drain/", 9999, False, "a folder that a console made"),
        ("results/gone.json", 9999, False, "a result"),
    ],
)
def test_stale_worker_objects_are_collected(key: str, age: float, gone: bool, shows: str) -> None:
    assert is_leftover(key, NOW - age, {"member"}, NOW) == gone, shows
