"""Checkpoint folders: what is in their files, and the hub that they come from."""
