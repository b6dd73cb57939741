"""The difference of two configurations, and what of it a reload applies. No I/O here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from visionfleet.config.fields import Section
from visionfleet.config.schema import Config


@dataclass(frozen=True, slots=True)
class Reach:
    """The settings, by key or section, that a daemon reads; all but `live` need a restart."""

    concerns: frozenset[str]
    live: frozenset[str]

    def split(self, keys: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Split changed keys into those applied now and those that need a restart."""
        own = [key for key in keys if key in self.live or _within(key, self.concerns)]
        now = tuple(key for key in own if key in self.live)
        return now, tuple(key for key in own if key not in self.live)


def changed(before: Config, after: Config) -> tuple[str, ...]:
    old = _flat(before)
    return tuple(key for key, value in _flat(after).items() if old[key] != value)


def merged(before: Config, after: Config, keys: Iterable[str]) -> Config:
    made = before
    for key in keys:
        section, _, name = key.partition(".")
        fresh: object = getattr(after, section)
        if name:
            part: Section = getattr(made, section)
            fresh = part.model_copy(update={name: getattr(fresh, name)})
        made = made.model_copy(update={section: fresh})
    return made


def _flat(config: Config) -> Mapping[str, object]:
    return dict(
        chain.from_iterable(
            ((f"{section}.{name}", value) for name, value in part)
            if isinstance(part, Section)
            else [(section, part)]
            for section, part in config
        )
    )


def _within(key: str, names: frozenset[str]) -> bool:
    return key in names or key.partition(".")[0] in names
