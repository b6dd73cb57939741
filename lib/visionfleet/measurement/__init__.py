"""Load tests of a deployment, and trials of a host's settings."""
