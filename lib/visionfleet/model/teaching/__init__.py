"""Teaches a network new classes: trains a new last layer on a few labelled photos."""
