"""Teaches a network other classes: a new last layer, from a few labelled photos."""
