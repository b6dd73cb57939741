"""Configuration: one YAML file, drop-ins and the environment, checked against a schema."""

from visionfleet.config.load import LoadedConfig, load
from visionfleet.config.schema import Config

__all__ = ["Config", "LoadedConfig", "load"]
