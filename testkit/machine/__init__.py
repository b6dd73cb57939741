"""Booted machines for tests."""
