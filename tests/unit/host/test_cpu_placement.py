"""Where the classifiers of one machine run."""

from pathlib import Path

import pytest

from visionfleet.cli import main
from visionfleet.host import cpu_topology
from visionfleet.host.cpu_placement import Cpu, Placement, drop_in, placements

# Two threads a core, numbered as Linux does: all first threads, then all second ones.
FOUR_CORES = [Cpu(number, 0, number % 4) for number in range(8)]


@pytest.mark.parametrize(
    ("cpus", "gpus", "per_worker", "expected"),
    [
        pytest.param(FOUR_CORES, 0, None, [tuple(range(8))], id="one worker has the machine"),
        pytest.param(FOUR_CORES, 0, 4, [(0, 1, 4, 5), (2, 3, 6, 7)], id="threads stay together"),
        pytest.param(FOUR_CORES, 0, 3, [(0, 1, 4, 5), (2, 3, 6, 7)], id="no CPU is left over"),
        pytest.param(FOUR_CORES[:3], 0, 1, [(0,), (1,), (2,)], id="one CPU each"),
        pytest.param(FOUR_CORES[:2], 0, 8, [(0, 1)], id="fewer than one worker wants"),
        pytest.param(FOUR_CORES[:3], 2, None, [(0,), (1, 2)], id="one for each GPU"),
        pytest.param(FOUR_CORES[:2], 3, None, [(0, 1)] * 3, id="more GPUs than CPUs"),
        pytest.param(FOUR_CORES, 1, 2, [tuple(range(8))], id="GPUs count, not CPUs"),
        pytest.param(
            [Cpu(n, n % 2, n // 2) for n in range(4)], 0, 2, [(0, 2), (1, 3)], id="packages"
        ),
    ],
)
def test_cpus_are_divided_among_workers(
    cpus: list[Cpu], gpus: int, per_worker: int | None, expected: list[tuple[int, ...]]
) -> None:
    found = placements(cpus, gpus, per_worker)
    assert [place.cpus for place in found] == expected
    assert [place.number for place in found] == list(range(len(expected)))
    assert [place.gpu for place in found] == [n if gpus else None for n in range(len(expected))]


def test_placement_without_gpu_binds_only_cpus() -> None:
    assert drop_in(Placement(1, (2, 3))) == "[Service]\nCPUAffinity=2 3\n"


def test_placement_with_gpu_exposes_one_gpu() -> None:
    lines = drop_in(Placement(1, (2, 3), gpu=1)).splitlines()
    assert "Environment=CUDA_VISIBLE_DEVICES=1" in lines
    assert "PrivateDevices=no" in lines
    assert "DevicePolicy=closed" in lines


def device(sysfs: Path, name: str, vendor: str, kind: str) -> None:
    folder = sysfs / "bus/pci/devices" / name
    folder.mkdir(parents=True)
    (folder / "vendor").write_text(vendor + "\n")
    (folder / "class").write_text(kind + "\n")


def test_gpus_are_counted_on_the_pci_bus(tmp_path: Path) -> None:
    assert cpu_topology.gpus(tmp_path) == 0
    device(tmp_path, "0000:00:1d.0", "0x10de", "0x030200")
    device(tmp_path, "0000:00:1e.0", "0x10de", "0x030000")
    device(tmp_path, "0000:00:1f.0", "0x10de", "0x040300")  # the sound of a graphics card
    device(tmp_path, "0000:00:02.0", "0x1d0f", "0x030000")  # the screen of an EC2 instance
    assert cpu_topology.gpus(tmp_path) == 2


def test_cpu_topology_of_this_machine_is_read() -> None:
    assert cpu_topology.cpus()
    assert len({cpu.number for cpu in cpu_topology.cpus()}) == len(cpu_topology.cpus())


def test_ec2_instance_runs_one_worker_with_one_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "visionfleet.yaml"
    config.write_text("classifier: {ec2_instance: true}\n")
    monkeypatch.setattr(cpu_topology, "gpus", lambda: 4)
    assert main(["placement", "--config", str(config)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("GPU 0")
