"""What a pipeline counts."""

import threading

from visionfleet.classifier.stats import Distribution, Events


def test_histogram_bucket_includes_its_bound() -> None:
    spread = Distribution((1, 5))
    for value in (0.5, 1, 1.5, 5, 6):
        spread.add(value)
    assert spread.counts == [2, 2, 1]
    assert spread.sum == 14


def test_new_counters_start_at_zero_with_every_label() -> None:
    totals = Events().snapshot()
    assert totals.jobs == {"succeeded": 0}
    assert totals.receives == {"hit": 0, "empty": 0, "error": 0}
    assert set(totals.stages) == {"queue", "fetch", "decode", "infer", "store", "reply"}


def test_events_are_counted() -> None:
    events = Events()
    events.polled([1, 3], now=50.0)
    events.polled([], now=60.0)
    events.poll_failed()
    events.batch(8, 0.4)
    events.batch(2, 0.1)
    events.ended("succeeded", {"queue": 1.0, "infer": 0.4})
    events.ended("empty", {"queue": 3.0})
    events.retried()
    events.extended("ok", 5)
    events.lease_lost()
    events.noticed("rebalance")
    totals = events.snapshot()
    assert totals.receives == {"hit": 1, "empty": 1, "error": 1}
    assert totals.polled_at == 60.0
    assert totals.deliveries.sum == 4
    assert (totals.batches.sum, sum(totals.batches.counts), totals.model_seconds) == (10, 2, 0.5)
    assert totals.jobs == {"succeeded": 1, "empty": 1}
    assert (totals.retries, totals.leases_lost) == (1, 1)
    assert totals.extensions == {"ok": 5, "lost": 0, "error": 0}
    assert totals.notices == {"interruption": 0, "rebalance": 1}
    assert events.stage_means() == {"queue": 2.0, "infer": 0.4}
    assert events.receives() == 1


def test_stats_snapshot_does_not_change() -> None:
    events = Events()
    before = events.snapshot()
    events.ended("succeeded", {"queue": 1.0})
    assert before.jobs["succeeded"] == 0
    assert before.stages["queue"].sum == 0


def test_threads_lose_no_count() -> None:
    events = Events()

    def work() -> None:
        for _ in range(5000):
            events.ended("succeeded", {"store": 1.0})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    totals = events.snapshot()
    assert totals.jobs["succeeded"] == 20_000
    assert totals.stages["store"].sum == 20_000
