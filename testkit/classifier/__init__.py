"""Classifiers and stand-ins for them."""
