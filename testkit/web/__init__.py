"""The web daemon and its clients for tests."""
