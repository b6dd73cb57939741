"""The web daemon."""
