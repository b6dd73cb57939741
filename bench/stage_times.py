"""Where an image's time goes in a worker, from the sums that its metrics give, and as a plot."""

from collections.abc import Mapping
from pathlib import Path

import urllib3
from prometheus_client.parser import text_string_to_metric_families

# From the bottom of a bar to its top: what the bare loop does, too, comes first.
ORDER = ("decode", "infer", "fetch", "store", "reply")
_STAGE, _MODEL = "visionfleet_job_stage_seconds_sum", "visionfleet_model_seconds_total"


def spent(metrics_url: str) -> dict[str, float]:
    """Read the seconds that a worker's jobs have spent in each stage since it started.

    `infer` is the time of all forward passes, so it is shared by the images of a batch. The time
    in the queue is left out: it says how many were sent at once.
    """
    text = urllib3.request("GET", metrics_url).data.decode()
    samples = [s for f in text_string_to_metric_families(text) for s in f.samples]
    found = {s.labels["stage"]: s.value for s in samples if s.name == _STAGE}
    found["infer"] = sum(s.value for s in samples if s.name == _MODEL)
    return {stage: found.get(stage, 0.0) for stage in ORDER}


def each(before: Mapping[str, float], after: Mapping[str, float], images: int) -> dict[str, float]:
    """Milliseconds per image of each stage between two readings."""
    return {stage: 1000 * (after[stage] - before[stage]) / images for stage in after}


def plot(bars: Mapping[str, Mapping[str, Mapping[str, float]]], path: Path) -> None:
    """Draw {model: {contender: {stage: ms}}}: a stack per contender, a picture per model."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(bars), figsize=(4 * len(bars), 3.8), squeeze=False)
    for axis, (model, contenders) in zip(axes[0], bars.items(), strict=True):
        bottom = [0.0] * len(contenders)
        for stage in ORDER:
            heights = [stages.get(stage, 0.0) for stages in contenders.values()]
            axis.bar(list(contenders), heights, bottom=bottom, label=stage)
            bottom = [low + high for low, high in zip(bottom, heights, strict=True)]
        axis.set_title(model)
        axis.set_ylabel("ms per image, on the clock")
        axis.tick_params(axis="x", rotation=20)  # long names would touch
    axes[0][-1].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)
