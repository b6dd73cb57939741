"""Leader election: who claims, renews and holds the lease, by tables."""

import pytest

from visionfleet.contract.messages import Lease
from visionfleet.scaler.election import NOBODY, claim, holds, released

LEASE_SECONDS, MARGIN_SECONDS = 60, 5
NOW = 1000.0


def lease(holder: str, term: int = 7) -> Lease:
    return Lease(holder=holder, expires_at=NOW, term=term)


@pytest.mark.parametrize(
    ("seen", "left", "term", "shows"),
    [
        (NOBODY, 0, 1, "nobody has ever held it"),
        (lease("b"), 0, 8, "another's has ended this moment"),
        (lease("b"), -3600, 8, "another's has ended long since"),
        (lease("b"), 0.1, None, "another's is alive"),
        (lease("a"), 60, None, "ours is fresh"),
        (lease("a"), 20.1, None, "ours has more than a third left"),
        (lease("a"), 20, 7, "ours has a third left: renewed, in the same term"),
        (lease("a"), -100, 7, "ours has ended and nobody took it: the same term goes on"),
    ],
)
def test_scaler_claims_or_renews_the_lease_when_due(
    seen: Lease, left: float, term: int | None, shows: str
) -> None:
    written = claim(seen, "a", left, NOW, LEASE_SECONDS)
    new = None if term is None else Lease(holder="a", expires_at=NOW + 60, term=term, seconds=60)
    assert written == new, shows


@pytest.mark.parametrize(
    ("seen", "left", "acts", "shows"),
    [
        (NOBODY, 0, False, "there is none"),
        (lease("b"), 60, False, "it is another's"),
        (lease("a"), 60, True, "it is ours"),
        (lease("a"), 5.1, True, "just before the margin"),
        (lease("a"), 5, False, "within the margin"),
        (lease("a"), -1, False, "it has ended"),
    ],
)
def test_scaler_leads_while_it_holds_a_fresh_lease(
    seen: Lease, left: float, acts: bool, shows: str
) -> None:
    assert holds(seen, "a", left, MARGIN_SECONDS) == acts, shows


def test_released_lease_lasts_no_longer() -> None:
    held = claim(NOBODY, "a", 0, NOW, LEASE_SECONDS)
    assert held is not None
    free = released(held, NOW + 10)
    assert (free.seconds, free.expires_at, free.term) == (0, NOW + 10, 1)


def test_releasing_an_expired_lease_does_not_extend_it() -> None:
    assert released(lease("a"), NOW + 5).expires_at == NOW
