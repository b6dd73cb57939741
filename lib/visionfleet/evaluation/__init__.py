"""Evaluates a model on labelled images."""
