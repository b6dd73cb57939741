"""Scalers and fleets for tests."""
