"""Jobs, from upload to result."""
