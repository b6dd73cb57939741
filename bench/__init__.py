"""Benchmarks against named baselines: each prints a table, saves a plot and writes its figures."""
