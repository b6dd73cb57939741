"""Builds a model's artefact: loads the model, runs the trials, writes the chosen one."""

from collections.abc import Mapping

from visionfleet import __version__
from visionfleet.config import Config
from visionfleet.host import cpu_quota
from visionfleet.model import artefact, processor
from visionfleet.model.artefact import Manifest
from visionfleet.model.choice import Asked
from visionfleet.model.loaded import Loaded
from visionfleet.model.loading import load
from visionfleet.model.samples import built_in, from_folder
from visionfleet.model.source import Source
from visionfleet.model.trials import Contest, compete


def made(
    config: Config, source: Source, environment: Mapping[str, str], asked: Asked | None = None
) -> bytes:
    """Build the artefact; raises BadModel, and TryLater if S3 fails.

    `asked` replaces the choice of the settings where the best one is known.
    """
    choice, here = config.model, processor.here(environment)
    loaded = load(choice.model_copy(update={"temperature": None, "unknown_below": None}), source)
    how = loaded.preprocessing
    samples = built_in(how)
    if choice.samples is not None:
        samples = from_folder(choice.samples, loaded.labels, how, config.images)
    asked = asked or Asked(choice.runtime, choice.precision)
    threads = choice.threads or cpu_quota.granted()
    size = config.classifier.batch_size
    contest = compete(loaded, asked, samples, size, threads, here.bfloat16, int8=True)
    return encoded(loaded, contest, here.name)


def encoded(loaded: Loaded, contest: Contest, processor_name: str) -> bytes:
    files = {"source": loaded.source}
    if contest.chosen.runtime == "openvino":
        graph, name = contest.graphs[contest.chosen.precision], artefact.graph_file(contest.chosen)
        files = {f"{name}.xml": bytes(graph.structure), f"{name}.bin": bytes(graph.weights)}
    manifest = Manifest(
        made_by=__version__,
        processor=processor_name,
        info=loaded.info,
        labels=loaded.labels,
        preprocessing=loaded.preprocessing,
        temperature=loaded.temperature,
        unknown_below=loaded.unknown_below,
        architecture=loaded.architecture,
        singly=contest.singly,
        chosen=contest.chosen,
        source=loaded.sha256,
    )
    return artefact.encode(manifest, files)
