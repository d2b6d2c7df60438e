"""Scores of predictions, with intervals, and how they differ between systems."""
