"""From uploaded bytes to the pixels a model wants."""
