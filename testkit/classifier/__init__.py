"""Workers for tests."""
