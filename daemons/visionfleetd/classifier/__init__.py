"""The classifier daemon."""
