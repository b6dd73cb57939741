"""Deploys a taught model, and restarts this machine's fleet with it."""

import json
from pathlib import Path

import yaml

from visionfleet.aws.clients import client_factory
from visionfleet.aws.s3 import Store
from visionfleet.config import Config
from visionfleet.config.classifier import ModelSection
from visionfleet.contract import documents, names
from visionfleet.model import making
from visionfleet.model.choice import Asked
from visionfleet.model.source import write_for_daemons
from visionfleet.model.teaching.teach import Taught

DROP_IN = "conf.d/taught-model.yaml"
_DONE = {"draining", "drained", "stopped"}
# Settings of a previous model that this model's card replaces.
_ON_THE_CARD = ("architecture", "temperature", "unknown_below")
_EC2 = "on EC2 take them into the stack's parameter of the model, and drain the old workers"


def written(made: Taught, name: str, folder: Path) -> tuple[Path, Path]:
    """Write the model's file and labels; raises BadModel."""
    model, labels = (folder / file for file in _file_names(made, name))
    write_for_daemons(model, made.file)
    write_for_daemons(labels, _text(made))
    return model.resolve(), labels.resolve()


def settings_of(made: Taught, name: str, model: str, labels: str) -> dict[str, str | None]:
    """The section `model` for it; the rest is on the file's card."""
    section = {"name": name, "path": model, "sha256": made.sha256, "labels": labels}
    ModelSection.model_validate(section)
    return {**section, **dict.fromkeys(_ON_THE_CARD)}


def shared(config: Config, made: Taught, name: str) -> dict[str, str | None]:
    """Upload file and labels to the output bucket; raises TryLater, GiveUp."""
    bucket = config.storage.output_bucket
    store = Store(client_factory(config.aws).client("s3"), bucket)
    model, labels = (f"models/{file}" for file in _file_names(made, name))
    store.put(model, made.file)
    store.put(labels, _text(made), "text/plain")
    return settings_of(made, name, f"s3://{bucket}/{model}", f"s3://{bucket}/{labels}")


def served(
    config: Config, settings: dict[str, str | None], runtime: Asked, file: Path
) -> list[str]:
    """Make the artefact, write the settings beside the fleet's, and drain its workers."""
    model = ModelSection.model_validate(config.model.model_dump() | settings)
    making.build(config.model_copy(update={"model": model}), None, share=True, asked=runtime)
    if config.scaler.fleet == "ec2":
        return [_EC2]
    drop_in = file.parent / DROP_IN
    write_for_daemons(drop_in, as_yaml(settings).encode())
    asked = _drain(config)
    drained = f"asked to drain: {', '.join(asked)}" if asked else "no worker runs now"
    return [f"{drop_in} is written; new workers read it", drained]


def _drain(config: Config) -> list[str]:
    """Ask the current workers to drain, as the scaler does; it starts new ones."""
    factory = client_factory(config.aws)
    store, now = Store(factory.client("s3"), config.storage.output_bucket), factory.clock()
    reports = documents.worker_reports(store.keys(names.WORKERS_PREFIX), store.read)
    reported_since = now - config.classifier.silent_seconds
    alive = [r.worker for r in reports if r.reported_at >= reported_since and r.state not in _DONE]
    for worker in alive:
        store.put(names.drain_key(worker), str(now).encode(), "text/plain")
    return alive


def as_yaml(settings: dict[str, str | None]) -> str:
    return yaml.safe_dump({"model": settings}, sort_keys=False)


def _file_names(made: Taught, name: str) -> tuple[str, str]:
    stem = f"{name}-{made.sha256[:16]}"
    return f"{stem}.pt", f"{stem}.json"


def _text(made: Taught) -> bytes:
    return json.dumps(made.labels).encode()
