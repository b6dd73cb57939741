"""Images and models for tests."""
