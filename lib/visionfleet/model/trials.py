"""Tries a model in every runtime and precision that suits this machine."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from visionfleet.errors import BadModel
from visionfleet.imaging.model_input import Pixels
from visionfleet.model import device, openvino_library
from visionfleet.model.batchnorm_folding import fold
from visionfleet.model.choice import (
    TORCH_FLOAT32,
    Asked,
    Candidate,
    Chosen,
    Clock,
    PrecisionName,
    Run,
    Trial,
    calibration_pictures,
    candidates,
    choose,
    try_out,
)
from visionfleet.model.inference import Inference
from visionfleet.model.loaded import Loaded
from visionfleet.model.network import Floats, Network
from visionfleet.model.openvino_network import Graph, OpenVinoNetwork
from visionfleet.model.samples import LEAST_FITTED, Samples
from visionfleet.model.torch_network import MODEL_ERRORS, TorchNetwork, last_line

_SAME = 1e-2  # the largest allowed difference of a probability between batch and single images
_BATCH_SECONDS = 0.4  # slower batches are tried in parts
_TRIAL_SECONDS = 5.0  # per candidate, after its warm-up
_NO_ROWS: Floats = np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Contest:
    networks: Mapping[Candidate, Network]
    chosen: Chosen
    singly: bool
    graphs: Mapping[PrecisionName, Graph]

    @property
    def network(self) -> Network:
        return self.networks[Candidate(self.chosen.runtime, self.chosen.precision)]


def compete(
    loaded: Loaded,
    asked: Asked,
    samples: Samples,
    batch_size: int,
    threads: int,
    bfloat16: bool,
    int8: bool = False,
) -> Contest:
    """Run the trials; raises BadModel for a model that fails, or whose runtimes disagree.

    `bfloat16`: the processor multiplies it; `int8`: it may be tried, if requested, on the user's
    samples, or if it is worth it.
    """
    torch.set_num_threads(threads)
    where = torch.device("cpu") if asked.runtime == "openvino" else device.choose()
    try:
        return _Trials(loaded, samples, batch_size, threads, where).contest(asked, bfloat16, int8)
    except MODEL_ERRORS as error:
        name, reason = loaded.info.name, last_line(error)
        raise BadModel(f"model {name}: the first forward pass failed: {reason}") from error


class _Trials:
    def __init__(
        self, loaded: Loaded, samples: Samples, batch_size: int, threads: int, where: torch.device
    ) -> None:
        self._loaded, self._samples = loaded, samples
        self._batch_size, self._threads = batch_size, threads
        self._cuda = where.type == "cuda"
        self._clock = time.perf_counter if self._cuda else _own_cores(threads)
        self._exact = self._plain = TorchNetwork(loaded.module, loaded.preprocessing, where)
        self._singly = False
        self._graphs: dict[PrecisionName, Graph] = {}
        self._no_graphs = ""
        self._fitted = samples.fitted

    def contest(self, asked: Asked, bfloat16: bool, int8: bool) -> Contest:
        self._first_passes()
        convertible = self._loaded.kind == "onnx" or any(
            p.is_floating_point() for p in self._exact.module.parameters()
        )
        if not convertible:  # a quantized model keeps its precision
            asked = replace(asked, precision="auto")
        native = device.gpu_multiplies_bfloat16() if self._cuda else bfloat16
        there = openvino_library.version() is not None
        names = candidates(asked, self._cuda, native, convertible, there, int8)
        kind = self._exact.device.type
        if len(names) == 1:  # no choice: only check that it works
            self._at_work(self._exact).probabilities(self._samples.compared[:1])
            alone: dict[Candidate, Network] = {TORCH_FLOAT32: self._exact}
            chosen = Chosen("torch", "float32", device=kind)
            return Contest(alone, chosen, self._singly, self._graphs)
        networks, trials = self._all(names, asked)
        chosen = choose(asked, trials, self._samples.targets, kind, self._samples.tie)
        chosen = replace(chosen, cores=self._threads)
        return Contest(networks, chosen, self._singly, self._graphs)

    def _first_passes(self) -> None:
        two = list(self._samples.compared[:2]) * (3 - len(self._samples.compared[:2]))
        if self._loaded.kind == "module":
            folded, _ = fold(self._exact.module, self._exact.prepared(two))
            self._exact = self._exact.replaced(folded)
        else:
            self._singly = not self._batches_like_singles(two)
            if self._singly:
                self._exact = self._exact.one_by_one()

    def _batches_like_singles(self, two: list[Pixels]) -> bool:
        model = self._at_work(self._exact)
        expected = np.concatenate([model.probabilities([pixels]) for pixels in two])
        try:
            return np.allclose(model.probabilities(two), expected, atol=_SAME)
        except RuntimeError:
            return False

    def _all(
        self, names: Sequence[Candidate], asked: Asked
    ) -> tuple[dict[Candidate, Network], dict[Candidate, Trial]]:
        networks: dict[Candidate, Network] = {}
        trials: dict[Candidate, Trial] = {}
        for name in names:
            if name.precision == "int8" and not self._tries_int8(asked, trials):
                continue
            try:
                networks[name] = self._network(name)
                trials[name] = self._tried(networks[name])
            except MODEL_ERRORS as error:
                if name == TORCH_FLOAT32:
                    raise
                trials[name] = Trial(_NO_ROWS, 0.0, last_line(error))
        return networks, trials

    def _tries_int8(self, asked: Asked, trials: Mapping[Candidate, Trial]) -> bool:
        if asked.precision == "int8" or self._samples.own:
            return True
        self._fitted = self._fitted[: calibration_pictures(trials, self._threads)]
        return len(self._fitted) >= LEAST_FITTED and openvino_library.can_quantise()

    def _network(self, name: Candidate) -> Network:
        if name.runtime == "torch":
            return self._exact.converted(name.precision)
        return OpenVinoNetwork(self._graph(name.precision), name.precision, self._threads)

    def _graph(self, precision: PrecisionName) -> Graph:
        if self._no_graphs:
            raise RuntimeError(self._no_graphs)
        if precision not in self._graphs:
            self._graphs[precision] = self._made(precision)
        return self._graphs[precision]

    def _made(self, precision: PrecisionName) -> Graph:
        if precision == "float32":
            return self._converted()
        if precision == "int8":
            return self._quantised()
        from visionfleet.model.openvino_conversion import in_bfloat16

        return in_bfloat16(self._graph("float32"))

    def _converted(self) -> Graph:
        # Imported late: it takes seconds, and torch alone may have been requested.
        from visionfleet.model.openvino_conversion import convert

        try:
            # OpenVINO folds batch norms itself. If folded before a max pool, it fuses pool and
            # GELU, whose kernel for float32 and AVX-512 is wrong (2026.4).
            return convert(self._plain.module, self._loaded.preprocessing, self._singly)
        except Exception as error:  # the converter raises many kinds
            self._no_graphs = f"OpenVINO cannot convert it: {last_line(error)}"
            raise RuntimeError(self._no_graphs) from error

    def _quantised(self) -> Graph:
        from visionfleet.model.openvino_conversion import quantise

        if len(self._fitted) < LEAST_FITTED:
            raise RuntimeError(f"it needs {LEAST_FITTED} photos: set model.samples")
        try:
            return quantise(self._graph("float32"), self._fitted)
        except ImportError as error:
            raise RuntimeError("NNCF is not installed: it comes with the extra `build`") from error

    def _tried(self, network: Network) -> Trial:
        run = self._at_work(network).probabilities
        return try_out(run, self._batches(run), _TRIAL_SECONDS, self._clock)

    def _at_work(self, network: Network) -> Inference:
        plain = replace(self._loaded, temperature=1.0)
        return Inference(network, plain, Chosen("torch", "float32"))

    def _batches(self, run: Run) -> Iterator[Sequence[Pixels]]:
        """Batches of the real size, unless that is too slow."""
        compared = self._samples.compared
        run(compared[:1])
        started = self._clock()
        run(compared[:1])
        seconds = max(self._clock() - started, 1e-6)
        size = max(1, min(self._batch_size, int(_BATCH_SECONDS / seconds)))
        whole = len(compared) // size * size or len(compared)
        for start in range(0, whole, size):
            yield compared[start : start + size]


def _own_cores(threads: int) -> Clock:
    """A clock of CPU time, so that other load on the cores does not matter."""
    return lambda: time.process_time() / threads
