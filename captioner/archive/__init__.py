"""Captions many files: skips finished ones, journals each result, reports failures."""
