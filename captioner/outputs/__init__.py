"""Captions become files: JSON Lines, JSON, CSV, SubRip, WebVTT, text and coco results."""
