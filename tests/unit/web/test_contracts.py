"""CORS origins, idempotency keys and the active model, without a server."""

import pytest

from visionfleet.contract.messages import ModelInfo
from visionfleet.web.http.cors import allowed, preflight
from visionfleet.web.jobs.active_model import ActiveModel
from visionfleet.web.jobs.idempotency import caller, once
from visionfleet.web.problems import Problem
from visionfleet.web.routes.parameters import idempotency_key

OLD, NEW = ModelInfo(name="m", fingerprint="old"), ModelInfo(name="m", fingerprint="new")


@pytest.mark.parametrize(
    ("origin", "origins", "answer"),
    [
        ("https://a", (), None),
        (None, ("*",), None),
        ("https://a", ("*",), "*"),
        ("https://a", ("https://b", "https://a"), "https://a"),
        ("https://a:1", ("https://a",), None),
        ("null", ("https://a",), None),
    ],
)
def test_cors_origins_are_matched(
    origin: str | None, origins: tuple[str, ...], answer: str | None
) -> None:
    assert allowed(origin, origins) == answer


def test_cors_preflight_needs_a_known_origin_and_method() -> None:
    asked = {"Access-Control-Request-Method": "POST"}
    assert preflight("https://a", ["POST"], asked)["Access-Control-Allow-Methods"] == "POST"
    assert preflight(None, ["POST"], asked) == preflight("https://a", ["POST"], {}) == {}


def test_idempotency_digest_covers_key_client_place_and_bytes() -> None:
    same = once("key", "client", (0, 1), b"bytes", 5)
    assert same == once("key", "client", (0, 1), b"bytes", 5)
    others = [
        once("key", "client", (0, 1), b"other", 5),
        once("key", "client", (0, 1), b"bytes", 4),
        once("key", "client", (0, 2), b"bytes", 5),
    ]
    assert {one.name for one in others} == {same.name}
    assert same.digest not in {one.digest for one in others}
    elsewhere = [once("k", "client", (0, 1), b"", 5), once("key", "c", (0, 1), b"", 5)]
    assert same.name not in {one.name for one in elsewhere}
    assert once("key", "client", (1, 2), b"bytes", 5).name != same.name


def test_clients_without_a_key_are_told_apart_by_address() -> None:
    callers = [caller("", "", address) for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1")]
    callers += [caller("Bearer k", "", "192.0.2.1"), caller("", "k", "192.0.2.1")]
    callers += [caller("", "", "127.0.0.1")]
    assert len(set(callers)) == len(callers)
    assert caller("", "k", "192.0.2.1") == caller("", "k", "192.0.2.2"), "a key is one client"
    assert caller("", "", "127.0.0.1") == caller("", "", "::1") == "\0", "as older releases"


@pytest.mark.parametrize("key", ["", " ", "a b", "\n", "é", "x" * 256])
def test_bad_idempotency_keys_are_refused(key: str) -> None:
    with pytest.raises(Problem, match="Idempotency-Key"):
        idempotency_key(key)
    assert idempotency_key(None) is None
    assert idempotency_key("x" * 255) == "x" * 255


def test_active_model_is_known_while_reported() -> None:
    seen = ActiveModel(trust_seconds=60)
    assert seen.current(0) is None
    seen.note(OLD, 100)
    assert seen.current(160) == OLD
    assert seen.current(160.1) is None


def test_active_model_ignores_older_reports() -> None:
    seen = ActiveModel(trust_seconds=60)
    seen.note(OLD, 100)
    seen.note(OLD, 10)
    assert seen.current(150) == OLD


def test_active_model_is_unknown_during_a_switch() -> None:
    seen = ActiveModel(trust_seconds=60)
    seen.note(OLD, 100)
    seen.note(NEW, 130)
    assert seen.current(130) is None
    assert seen.current(161) == NEW
