"""API keys, and the file that keeps them."""
