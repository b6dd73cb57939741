"""What a run of chaos came to is written down as it is."""

import json

from bench.bench_chaos import document
from testkit.chaos.plan import Outcome


def test_outcome_is_written_with_its_counts_by_kind() -> None:
    counts = {"b": 2, "a": 1}
    outcome = Outcome(2, right=2, by_runtime=counts, faults=counts, surprises=["x", "y"])
    (seed,) = json.loads(json.dumps(document({7: outcome})))["seeds"]
    assert (seed["seed"], seed["jobs"], seed["right"], seed["surprises"]) == (7, 2, 2, 2)
    assert seed["by_runtime"] == seed["faults"] == {"a": 1, "b": 2}
