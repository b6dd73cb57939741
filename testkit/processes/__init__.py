"""Real processes for tests, and waiting for them."""
