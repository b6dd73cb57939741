"""The classifier's pipeline: receive, fetch, decode, classify, store, reply, delete."""
