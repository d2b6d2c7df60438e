"""Retrieval: sentences and clips as vectors, of which those that belong together lie together."""
