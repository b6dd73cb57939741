"""What differs between two configurations, and what of it a reload reaches. No I/O here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from visionfleet.config.schema import Config


@dataclass(frozen=True, slots=True)
class Reach:
    """What a reload reaches, in dotted keys or whole sections.

    `concerns` is what the daemon reads at all; of that, `fixed` needs a restart.
    """

    concerns: frozenset[str]
    fixed: frozenset[str]

    def split(self, keys: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Split changed keys into those that take effect now and those that need a restart."""
        ours = [key for key in keys if _within(key, self.concerns)]
        later = tuple(key for key in ours if _within(key, self.fixed))
        return tuple(key for key in ours if key not in later), later


def all_but(live: frozenset[str], concerns: frozenset[str]) -> Reach:
    """Let a reload reach these dotted keys and no other: a new setting needs a restart at first."""
    keys = {key for key, _ in _flat(Config()) if _within(key, concerns)}
    return Reach(concerns, frozenset(keys - live))


def changed(before: Config, after: Config) -> tuple[str, ...]:
    """List the dotted keys whose values differ."""
    old = dict(_flat(before))
    return tuple(key for key, value in _flat(after) if old[key] != value)


def merged(before: Config, after: Config, keys: Iterable[str]) -> Config:
    """Take these keys from `after` and everything else from `before`."""
    made = before
    for key in keys:
        section, _, name = key.partition(".")
        fresh: object = getattr(after, section)
        if name:
            part: BaseModel = getattr(made, section)
            fresh = part.model_copy(update={name: getattr(fresh, name)})
        made = made.model_copy(update={section: fresh})
    return made


def _flat(config: Config) -> Iterator[tuple[str, object]]:
    for section, part in config:
        if isinstance(part, BaseModel):
            yield from ((f"{section}.{name}", value) for name, value in part)
        else:
            yield section, part


def _within(key: str, names: frozenset[str]) -> bool:
    return key in names or key.partition(".")[0] in names
