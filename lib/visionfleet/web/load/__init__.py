"""Whether there is room for one more upload."""
