"""Which model the fleet answers with, as far as its workers have told. No I/O here."""

from visionfleet.contract.messages import ModelInfo


class ActiveModel:
    """A model unspoken of for `trust_seconds` is forgotten; while two are known, neither counts."""

    def __init__(self, trust_seconds: float) -> None:
        self.trust_seconds = trust_seconds
        self._seen: dict[str, tuple[float, ModelInfo]] = {}

    def note(self, model: ModelInfo, at: float) -> None:
        """Hear of a model; `at` is the wall time at which a worker said so."""
        known = self._seen.get(model.fingerprint)
        if known is None or known[0] < at:
            self._seen[model.fingerprint] = (at, model)

    def current(self, now: float) -> ModelInfo | None:
        fresh = {
            key: (at, model)
            for key, (at, model) in self._seen.items()
            if now - at <= self.trust_seconds
        }
        self._seen = fresh
        return next(iter(fresh.values()))[1] if len(fresh) == 1 else None
