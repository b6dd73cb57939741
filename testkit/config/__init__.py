"""Configuration for tests."""
