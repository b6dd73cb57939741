"""Leader election: who claims, renews and holds the lease, by tables."""

import pytest

from visionfleet.contract.messages import Lease
from visionfleet.scaler.election import NOBODY, claim, holds, released

LEASE_SECONDS, MARGIN_SECONDS = 60, 5
NOW = 1000.0


def lease(holder: str, left: float, term: int = 7) -> Lease:
    return Lease(holder=holder, expires_at=NOW + left, term=term)


@pytest.mark.parametrize(
    ("seen", "term", "shows"),
    [
        (NOBODY, 1, "nobody has ever held it"),
        (lease("b", 0), 8, "another's has expired this moment"),
        (lease("b", -3600), 8, "another's has expired long since"),
        (lease("b", 0.1), None, "another's is alive"),
        (lease("b", 86400), None, "another's is alive, whatever its clock"),
        (lease("a", 60), None, "ours is fresh"),
        (lease("a", 20.1), None, "ours has more than a third left"),
        (lease("a", 20), 7, "ours has a third left: renewed, in the same term"),
        (lease("a", -100), 7, "ours has expired and nobody took it: the same term goes on"),
        (lease("a", 61), 7, "our clock was set back: written anew"),
        (lease("", 0), 8, "released"),
    ],
)
def test_scaler_claims_or_renews_the_lease_when_due(
    seen: Lease, term: int | None, shows: str
) -> None:
    written = claim(seen, "a", NOW, LEASE_SECONDS)
    expected = None if term is None else Lease(holder="a", expires_at=NOW + 60, term=term)
    assert written == expected, shows


@pytest.mark.parametrize(
    ("seen", "acts", "shows"),
    [
        (NOBODY, False, "there is none"),
        (lease("b", 60), False, "it is another's"),
        (lease("a", 60), True, "it is ours"),
        (lease("a", 5.1), True, "just before the margin"),
        (lease("a", 5), False, "within the margin, where another's clock may be ahead"),
        (lease("a", -1), False, "it has expired"),
    ],
)
def test_scaler_leads_while_it_holds_a_fresh_lease(seen: Lease, acts: bool, shows: str) -> None:
    assert holds(seen, "a", NOW, MARGIN_SECONDS) == acts, shows


@pytest.mark.parametrize("difference", [0.0, 4.9, -4.9])
def test_clock_skew_within_the_margin_gives_one_leader(
    difference: float,
) -> None:
    """Second by second: the holder by its clock, the other by its own."""
    held = lease("a", 60)
    for tenth in range(800):
        now = NOW + tenth / 10
        taken = claim(held, "b", now + difference, LEASE_SECONDS)
        assert not (taken is not None and holds(held, "a", now, MARGIN_SECONDS))


def test_released_lease_is_free_at_once() -> None:
    free = released(lease("a", 60), NOW)
    assert not holds(free, "a", NOW, MARGIN_SECONDS)
    taken = claim(free, "b", NOW, LEASE_SECONDS)
    assert taken is not None
    assert taken.term == 8


def test_releasing_an_expired_lease_does_not_extend_it() -> None:
    assert released(lease("a", -5), NOW).expires_at == NOW - 5
