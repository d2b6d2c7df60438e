"""Frames become features: where a CNN comes from, how its map is pooled, and the quick ways to run it."""
