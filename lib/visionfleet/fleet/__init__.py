"""Runs the workers: one module per kind of fleet, all with the same small interface."""
