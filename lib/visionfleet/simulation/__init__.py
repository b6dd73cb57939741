"""Replays a trace of requests against a policy. No I/O and no clock; randomness is seeded."""
