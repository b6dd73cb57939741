"""Workers give the vectors that they are asked for, whatever runtime they have."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from testkit.aws.embedded import BUCKETS, Cloud
from testkit.classifier.daemon import classifier_daemon, report, results, send
from testkit.images.model_files import LABELS, saved
from testkit.processes.waiting import wait_until
from visionfleet.contract.vectors import decode_vector
from visionfleet.model.efficientnet_lite import FEATURES, EfficientNetLite0

pytestmark = pytest.mark.needs_torch


def model(folder: Path) -> dict[str, str]:
    torch.manual_seed(1)
    data = saved(EfficientNetLite0(len(LABELS)).state_dict())
    (folder / "model.pt").write_bytes(data)
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    named = {"NAME": "mine", "PATH": str(folder / "model.pt"), "RESIZE": "32", "CROP": "32"}
    named |= {"SHA256": f"'{hashlib.sha256(data).hexdigest()}'", "PRECISION": "float32"}
    named |= {"ARCHITECTURE": "efficientnet_lite0", "LABELS": str(folder / "labels.txt")}
    variables = {f"VISIONFLEET_MODEL__{name}": value for name, value in named.items()}
    return variables | {"CACHE_DIRECTORY": str(folder)}


def answered(aws: Cloud, folder: Path, runtime: str) -> dict[str, Any]:
    """Have one image asked for its vector among others; returns the results of that runtime."""
    variables = model(folder) | {"VISIONFLEET_MODEL__RUNTIME": runtime}
    with classifier_daemon(
        aws, folder, runtime, "queue: {wait_seconds: 2}\n", **variables
    ) as worker:
        wait_until(lambda: report(aws, runtime).get("boot_seconds"), 90, worker.tail)
        jobs = send(aws, range(2)) + send(aws, range(2, 3), embed=True)
        return results(aws, jobs)


def test_vectors_come_to_who_asks_from_both_runtimes(aws: Cloud, tmp_path: Path) -> None:
    by_torch = answered(aws, tmp_path, "torch")
    for job in by_torch:
        aws.s3.delete_object(Bucket=BUCKETS[1], Key=f"results/{job}.json")
    by_openvino = answered(aws, tmp_path, "openvino")
    for found in (by_torch, by_openvino):
        assert ["vector" in found[job] for job in sorted(found)] == [False, False, True]
    one, other = (decode_vector(found["job2"]["vector"]) for found in (by_torch, by_openvino))
    assert len(one) == FEATURES
    np.testing.assert_allclose(one, other, atol=1e-4, rtol=1e-3)
