"""Admission control, memory budget and readiness."""
