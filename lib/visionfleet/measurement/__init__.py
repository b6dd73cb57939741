"""Measures a deployment and a host: when images arrive, how long answers take, what is best."""
