"""What a reload takes and what it names."""

from visionfleet.config.reload import Reach, changed, merged
from visionfleet.config.schema import Config

REACH = Reach(frozenset({"name", "scaler", "log"}), frozenset({"name", "scaler.fleet"}))


def config(**sections: object) -> Config:
    return Config.model_validate(sections)


def test_changes_are_dotted_keys() -> None:
    fresh = config(name="other", scaler={"maximum": 3}, log={"level": "DEBUG"})
    assert changed(Config(), fresh) == ("name", "scaler.maximum", "log.level")
    assert changed(fresh, fresh) == ()


def test_what_is_ours_is_split_and_the_rest_is_not_told() -> None:
    keys = ("name", "web.port", "scaler.maximum", "scaler.fleet", "log.level")
    assert REACH.split(keys) == (("scaler.maximum", "log.level"), ("name", "scaler.fleet"))


def test_merging_takes_these_keys_alone() -> None:
    before = config(scaler={"minimum": 1})
    fresh = config(name="other", scaler={"maximum": 3, "minimum": 2})
    made = merged(before, fresh, ("scaler.maximum",))
    assert (made.name, made.scaler.maximum, made.scaler.minimum) == ("visionfleet", 3, 1)
    assert merged(before, fresh, ("name",)).name == "other"
    assert merged(before, fresh, ()) == before
