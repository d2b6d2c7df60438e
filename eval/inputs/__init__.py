"""Predictions and references: read, or made by captioning a split."""
