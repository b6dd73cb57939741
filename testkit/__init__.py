"""Tools that tests and benchmarks share: AWS, real processes, booted machines, images."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
