"""The model that the fleet currently uses, as reported by its workers. No I/O here."""

from visionfleet.contract.messages import ModelInfo


class ActiveModel:
    """A model not reported for `trust_seconds` is forgotten; there is no answer for two."""

    def __init__(self, trust_seconds: float) -> None:
        self.trust_seconds = trust_seconds
        self._seen: dict[str, tuple[float, ModelInfo]] = {}

    def note(self, model: ModelInfo, at: float) -> None:
        """Record a model; `at` is the wall time of the worker's report."""
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
