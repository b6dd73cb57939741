"""HTTP: server, bodies, multipart, CORS, API keys, rate limits."""
