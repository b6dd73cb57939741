"""HTTP itself: server, bodies, multipart, CORS, keys, rate limits."""
