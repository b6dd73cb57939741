"""Replays a trace of requests against a policy. No I/O here, and no clock: randomness is seeded."""
