"""What a reload takes and what it names."""

from visionfleet.config.reload import Reach, changed, merged
from visionfleet.config.schema import Config

REACH = Reach(frozenset({"name", "scaler"}), frozenset({"scaler.maximum", "log.level"}))


def config(**sections: object) -> Config:
    return Config.model_validate(sections)


def test_reload_changes_are_dotted_keys() -> None:
    fresh = config(name="other", scaler={"maximum": 3}, log={"level": "DEBUG"})
    assert changed(Config(), fresh) == ("name", "scaler.maximum", "log.level")
    assert changed(fresh, fresh) == ()


def test_reload_splits_live_keys_from_those_needing_a_restart() -> None:
    keys = ("name", "web.port", "scaler.maximum", "scaler.fleet", "log.level")
    assert REACH.split(keys) == (("scaler.maximum", "log.level"), ("name", "scaler.fleet"))


def test_reload_merges_live_keys_only() -> None:
    before = config(scaler={"minimum": 1})
    fresh = config(name="other", scaler={"maximum": 3, "minimum": 2})
    made = merged(before, fresh, ("scaler.maximum",))
    assert (made.name, made.scaler.maximum, made.scaler.minimum) == ("visionfleet", 3, 1)
    assert merged(before, fresh, ("name",)).name == "other"
    assert merged(before, fresh, ()) == before
