"""From uploaded bytes to a model's input."""
