"""Structured logs, as text and in the journal."""
