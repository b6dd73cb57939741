"""Requests that failed too often: inspection and redrive."""
