"""The model at work: batches of pixels in, rankings out."""

import copy
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import torch

from visionfleet.config.classifier import Precision
from visionfleet.contract.messages import ModelInfo, Ranked
from visionfleet.errors import BadModel
from visionfleet.imaging.preprocess import Pixels, Preprocessing
from visionfleet.model import device, precision
from visionfleet.model.batchnorm_folding import fold
from visionfleet.model.forward import MODEL_ERRORS, Forward, Stages, last_line
from visionfleet.model.loaded import Loaded
from visionfleet.model.precision import EXACT, Chosen, Clock, Trial
from visionfleet.model.probe_images import pictures

log = logging.getLogger("classifier")

_SAME = 1e-2  # largest difference of a probability between a batch and single images
_BATCH_SECONDS = 0.4  # a batch that takes longer is tried in parts
_TRIAL_SECONDS = 0.25  # for each precision, after its warm-up
_MAXIMUM_PICTURES = 64


class Inference:
    """A loaded model, warmed up; one that was traced for one image at a time is fed singly.

    Raises BadModel when it does not fit its labels, or differs too much in the precision asked for.
    """

    def __init__(
        self, loaded: Loaded, batch_size: int, threads: int, asked: Precision = "auto"
    ) -> None:
        torch.set_num_threads(threads)
        self.info: ModelInfo = loaded.info
        self.preprocessing: Preprocessing = loaded.preprocessing
        self.device: torch.device = device.choose()
        self.folded = 0
        self._clock = time.perf_counter if self.device.type == "cuda" else _own_cores(threads)
        self._pictures = pictures(self.preprocessing.crop)
        self.labels: tuple[str, ...] = loaded.labels
        self.temperature: float = loaded.temperature
        self.unknown_below: float = loaded.unknown_below
        try:
            exact = self._first_passes(loaded)
            self._forward, self.precision = self._fastest(exact, batch_size, asked)
            self._forward.seconds = Stages()  # what was tried does not count
        except MODEL_ERRORS as error:
            reason = last_line(error)
            raise BadModel(
                f"model {self.info.name}: the first forward pass failed: {reason}"
            ) from error
        how = {"device": str(self.device), "threads": threads, "folded": self.folded}
        log.info("precision chosen", extra=precision.tell(self.precision) | how)

    def rank(self, batch: Sequence[Pixels], top: int) -> list[tuple[Ranked, ...]]:
        """Rank the classes for each H x W x 3 array, best first; RuntimeError if it fails."""
        probabilities = self.probabilities(batch)
        started = time.perf_counter()
        # Equal scores in the order of their index; topk orders them anew for each `top`.
        scores, indices = torch.sort(probabilities, dim=1, descending=True, stable=True)
        ranked = [
            tuple(
                Ranked(index=index, label=self.labels[index], score=score)
                for score, index in zip(*row, strict=True)
            )
            for row in zip(scores[:, :top].tolist(), indices[:, :top].tolist(), strict=True)
        ]
        self._forward.seconds.rank += time.perf_counter() - started
        return ranked

    def probabilities(self, batch: Sequence[Pixels]) -> torch.Tensor:
        return self._forward.probabilities(batch)

    @property
    def seconds(self) -> Stages:
        return replace(self._forward.seconds)

    def _first_passes(self, loaded: Loaded) -> Forward:
        two = list(islice(self._pictures, 2))
        for weights in loaded.module.parameters():
            weights.requires_grad_(False)
        exact = Forward(loaded, self.device)
        if loaded.kind == "module":
            exact.module, self.folded = fold(exact.module, exact.prepared(two))
        else:
            exact.singly = not self._batches_like_singles(exact, two)
        return exact

    def _batches_like_singles(self, exact: Forward, two: list[Pixels]) -> bool:
        expected = torch.cat([exact.probabilities([pixels]) for pixels in two])
        try:
            same = torch.allclose(exact.probabilities(two), expected, atol=_SAME)
        except RuntimeError:
            same = False
        if not same:
            log.warning("model takes one image at a time", extra={"model": self.info.name})
        return same

    def _fastest(self, exact: Forward, batch_size: int, asked: Precision) -> tuple[Forward, Chosen]:
        convertible = any(p.is_floating_point() for p in exact.module.parameters())
        names = precision.candidates(
            asked,
            self.device.type == "cuda",
            device.multiplies_bfloat16(self.device),
            convertible,
        )
        if len(names) == 1:  # nothing to choose from, but the first real batch must not be slow
            exact.probabilities(list(islice(self._pictures, batch_size)))
            return exact, Chosen(EXACT, {})
        batches: list[list[Pixels]] = []
        networks = {EXACT: exact}
        trials = {EXACT: self._try_out(exact, self._batches(exact, batch_size, batches))}
        for name in names[1:]:
            networks[name], trials[name] = self._tried(exact, name, batches)
        chosen = precision.choose(asked, precision.AGREEMENT_FLOOR, trials)
        return networks[chosen.name], chosen

    def _batches(
        self, exact: Forward, batch_size: int, drawn: list[list[Pixels]]
    ) -> Iterator[list[Pixels]]:
        """Draw batches, kept in `drawn`, of the real size unless that takes too long."""
        one = list(islice(self._pictures, 1))
        started = self._clock()
        exact.probabilities(one)
        seconds = max(self._clock() - started, 1e-6)
        size = max(1, min(batch_size, int(_BATCH_SECONDS / seconds)))
        for _ in range(max(_MAXIMUM_PICTURES // size, 2)):
            drawn.append(list(islice(self._pictures, size)))
            yield drawn[-1]

    def _try_out(self, network: Forward, batches: Iterable[list[Pixels]]) -> Trial:
        return precision.try_out(network.probabilities, batches, _TRIAL_SECONDS, self._clock)

    def _tried(
        self, exact: Forward, name: str, batches: list[list[Pixels]]
    ) -> tuple[Forward, Trial]:
        dtype = precision.DTYPES[name]
        try:
            network = exact.replaced(copy.deepcopy(exact.module).to(dtype), dtype)
            return network, self._try_out(network, batches)
        except MODEL_ERRORS as error:
            return exact, Trial(torch.empty(0), 0.0, last_line(error))


def _own_cores(threads: int) -> Clock:
    """Make a clock of the processor time used: what else runs on the cores must not decide."""
    return lambda: time.process_time() / threads
