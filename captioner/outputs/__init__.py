"""Captions become files: JSON Lines, JSON, CSV, SubRip, WebVTT, text and coco results."""

from __future__ import annotations

from captioner.outputs.rows import from_row, row
from captioner.outputs.writers import CSV_FIELDS, FORMATS, Format, Writer, writer

__all__ = ["CSV_FIELDS", "FORMATS", "Format", "Writer", "from_row", "row", "writer"]
