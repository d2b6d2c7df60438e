"""Reads predictions in any form that ``eval.inputs.rows`` knows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from captioner.errors import DataError, counted
from data.sources import squeeze
from eval.inputs.rows import captions_of, read_rows, short

Duplicates = Literal["first", "last", "error"]
"""Which of two captions of one clip counts; ``error``: neither."""
LISTED = 5


@dataclass(frozen=True)
class Predictions:
    """One caption a clip, as written in ``source``; white space in captions is already collapsed."""

    source: str
    captions: dict[str, str]
    """By the name in the file: an id, or the path of the video."""
    failed: dict[str, str]
    """Clips that have an error in place of a caption."""
    duplicates: tuple[str, ...]
    """Clips with two different captions."""
    alternatives: dict[str, tuple[str, ...]]
    """The n-best captions of a clip, best first, where the file has them."""
    with_line_breaks: int
    """Captions that held line breaks."""
    taken_for: str = ""
    """What the file was taken for."""


def read_predictions(path: str | Path, *, duplicates: Duplicates = "first") -> Predictions:
    """The captions in a file of predictions, in any form that ``eval.inputs.rows.read_rows`` knows.

    ``"error"`` in place of ``"caption"`` is for a clip that failed. Where a clip has two different captions,
    ``duplicates`` decides. Raises DataError, with the line or row, on anything malformed, and when there is no caption
    at all.
    """
    path = Path(path)
    captions: dict[str, str] = {}
    failed: dict[str, str] = {}
    repeated: dict[str, None] = {}
    alternatives: dict[str, tuple[str, ...]] = {}
    breaks: dict[str, bool] = {}
    rows = read_rows(path)
    for where, row in rows.found:
        clip, caption, error = _parse(row, where)
        if caption is None:
            failed[clip] = error
            continue
        if clip in captions:
            if squeeze(caption) != captions[clip]:
                repeated[clip] = None
            if duplicates != "last":
                continue
        captions[clip], breaks[clip] = squeeze(caption), "\n" in caption or "\r" in caption
        if others := _alternatives(row, where):
            alternatives[clip] = others
    if not captions and not failed:
        raise DataError(f"{path} holds no captions")
    if repeated and duplicates == "error":
        raise DataError(
            f"{path}: {counted(len(repeated), 'clip has', 'clips have')} two different captions: {listed(repeated)}; "
            "take one of each out, or choose with --duplicates first or last"
        )
    failed = {clip: error for clip, error in failed.items() if clip not in captions}  # a later try succeeded
    return Predictions(str(path), captions, failed, tuple(repeated), alternatives, sum(breaks.values()), rows.taken_for)


def listed(names: Iterable[str]) -> str:
    """At most five names, and that there are more."""
    names = list(names)
    return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")


def read_details(path: str | Path) -> dict[str, dict[str, Any]]:
    """What the product writes of a caption beside its text, by the name in the file: confidence, words, attention.

    Of a row that has none of this, or not whole, nothing; the file is one that :func:`read_predictions` reads.
    """
    found: dict[str, dict[str, Any]] = {}
    for where, row in read_rows(Path(path)).found:
        clip, caption, _ = _parse(row, where)
        if caption is not None and clip not in found:
            found[clip] = _details(row)
    return {clip: details for clip, details in found.items() if details}


def _details(row: dict[str, Any]) -> dict[str, Any]:
    def number(value: Any) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

    def numbers(value: Any) -> bool:
        return isinstance(value, list) and bool(value) and all(map(number, value))

    details: dict[str, Any] = {}
    if number(row.get("confidence")) and 0 <= row["confidence"] <= 1:
        details |= {"confidence": row["confidence"], "calibrated": row.get("calibrated") is True}
    words = row.get("words")
    whole = isinstance(words, list) and all(
        isinstance(w, dict)
        and isinstance(w.get("text"), str)
        and number(w.get("peak_seconds"))
        and numbers(w.get("attention"))
        for w in words
    )
    if whole and numbers(row.get("times_seconds")):
        details |= {"words": words, "times_seconds": row["times_seconds"]}
    return details


def _parse(row: dict[str, Any], where: str) -> tuple[str, str | None, str]:
    """The clip's name and its caption, or None and the error that stands in its place."""
    keys = ", ".join(map(repr, list(row)[:LISTED])) or "nothing"
    if "id" not in row:
        raise DataError(f"{where}: no 'id' (or 'image_id' or 'path'); the row has {keys}")
    clip = row["id"]
    if isinstance(clip, bool) or not isinstance(clip, (str, int)) or clip == "":
        raise DataError(f"{where}: 'id' must name a clip, not {short(clip)}")
    if row.get("error") and row.get("caption") is None:
        return str(clip), None, str(row["error"])
    if "caption" not in row:
        raise DataError(f"{where}: no 'caption' (nor an 'error' in its place); the row has {keys}")
    if not isinstance(row["caption"], str):
        raise DataError(f"{where}: 'caption' must be text, not {short(row['caption'])}")
    return str(clip), row["caption"], ""


def _alternatives(row: dict[str, Any], where: str) -> tuple[str, ...]:
    others = row.get("alternatives") or []
    if isinstance(others, str):  # a column of CSV says nothing that could be read
        return ()
    texts = captions_of(others)
    if texts is None:
        raise DataError(f"{where}: 'alternatives' must be a list of captions, not {short(others)}")
    return tuple(map(squeeze, texts))
