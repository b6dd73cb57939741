"""From an upload to its result."""
