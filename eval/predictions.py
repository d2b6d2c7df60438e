"""Reading what a model said: our JSON Lines, coco results or CSV, whichever the file turns out to be."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.errors import DataError
from captioner.outputs.spreadsheet import unguarded
from data.sources import parse_json, read_text, squeeze

ID_KEYS = ("id", "image_id", "video_id", "path", "file", "clip")
"""Where a row's clip may be named, the first that is there."""


@dataclass(frozen=True)
class Predictions:
    """One caption a clip, as written in ``source``; white space in captions is already collapsed."""

    source: str
    captions: dict[str, str]
    """By the name in the file: an id, or the path of the video."""
    failed: dict[str, str]
    """Clips that have an error in place of a caption."""
    duplicates: tuple[str, ...]
    """Clips named more than once with a caption; their first one counts."""
    alternatives: dict[str, tuple[str, ...]]
    """The n-best captions of a clip, best first, where the file has them."""
    with_line_breaks: int
    """Captions that held line breaks."""


def read_predictions(path: str | Path) -> Predictions:
    """The captions in a file of predictions.

    Formats: JSON Lines ``{"id" or "path": ..., "caption": ...}`` (``"error"`` in place of ``"caption"`` for a clip
    that failed), coco results ``[{"image_id": ..., "caption": ...}]``, or CSV with a header that names these columns.
    Raises DataError, with the line or row, on anything malformed, and when there is no caption at all.
    """
    path = Path(path)
    captions: dict[str, str] = {}
    failed: dict[str, str] = {}
    duplicates: dict[str, None] = {}
    alternatives: dict[str, tuple[str, ...]] = {}
    breaks = 0
    for where, row in _rows(path):
        clip, caption, error = _parse(row, where)
        if caption is None:
            failed[clip] = error
        elif clip in captions:
            duplicates[clip] = None
        else:
            captions[clip] = squeeze(caption)
            breaks += "\n" in caption or "\r" in caption
            if others := _alternatives(row, where):
                alternatives[clip] = others
    if not captions and not failed:
        raise DataError(f"{path} holds no captions")
    failed = {clip: error for clip, error in failed.items() if clip not in captions}  # a later try succeeded
    return Predictions(str(path), captions, failed, tuple(duplicates), alternatives, breaks)


def read_details(path: str | Path) -> dict[str, dict[str, Any]]:
    """What the product writes of a caption beside its text, by the name in the file: confidence, words, attention.

    Of a row that has none of this, or not whole, nothing; the file is one that :func:`read_predictions` reads.
    """
    found: dict[str, dict[str, Any]] = {}
    for where, row in _rows(Path(path)):
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


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row with the place to name in an error."""
    text = read_text(path)
    start = text.lstrip()[:1]
    if start == "[":
        yield from _list_rows(parse_json(text, name=path), path)
    elif start == "{":
        yield from _line_rows(text, path)
    elif start:
        yield from _csv_rows(text, path)


def _list_rows(rows: list[Any], path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, row in enumerate(rows, start=1):
        where = f"{path}, entry {number}"
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected an object with image_id and caption, not {_short(row)}")
        yield where, row


def _line_rows(text: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    # split on "\n" only: str.splitlines would also cut at the odd separators that captions hold.
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            _refuse_document(text, path)
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
            raise DataError(f"{where}: not valid JSON ({reason})") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected an object with id and caption, not {_short(row)}")
        yield where, row


def _refuse_document(text: str, path: Path) -> None:
    """A clearer word than "line 1" for a whole JSON object laid out over many lines."""
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return
    raise DataError(
        f"{path} is one JSON object with the keys {', '.join(list(document)[:6])}; predictions are a list of "
        '{"image_id", "caption"}, or one {"id", "caption"} a line'
    )


def _csv_rows(text: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        header = reader.fieldnames or []
        if not (set(ID_KEYS) & set(header) and {"caption", "error"} & set(header)):
            raise DataError(
                f"{path}, line 1: not JSON, and as CSV its header must name 'id' and 'caption'; it is "
                f"{_short(','.join(header))}"
            )
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise DataError(f"{where}: expected {len(header)} values, as in the header")
            failed = row.get("error") and not row.get("caption")
            yield where, {k: unguarded(v) for k, v in row.items() if k != ("caption" if failed else "error")}
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not valid CSV ({error})") from error


def _parse(row: dict[str, Any], where: str) -> tuple[str, str | None, str]:
    """The clip's name and its caption, or None and the error that stands in its place."""
    key = next((key for key in ID_KEYS if key in row), None)
    keys = ", ".join(map(repr, row)) or "nothing"
    if key is None:
        raise DataError(f"{where}: no 'id' (or 'image_id' or 'path'); the row has {keys}")
    clip = row[key]
    if isinstance(clip, bool) or not isinstance(clip, (str, int)) or clip == "":
        raise DataError(f"{where}: {key!r} must name a clip, not {_short(clip)}")
    if row.get("error") and row.get("caption") is None:
        return str(clip), None, str(row["error"])
    if "caption" not in row:
        raise DataError(f"{where}: no 'caption' (nor an 'error' in its place); the row has {keys}")
    if not isinstance(row["caption"], str):
        raise DataError(f"{where}: 'caption' must be text, not {_short(row['caption'])}")
    return str(clip), row["caption"], ""


def _alternatives(row: dict[str, Any], where: str) -> tuple[str, ...]:
    others = row.get("alternatives") or []
    if not isinstance(others, (list, str)):
        raise DataError(f"{where}: 'alternatives' must be a list of captions, not {_short(others)}")
    if isinstance(others, str):  # a column of CSV says nothing that could be read
        return ()
    texts = [other.get("caption") if isinstance(other, dict) else other for other in others]
    if not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where}: 'alternatives' must be a list of captions, not {_short(others)}")
    return tuple(squeeze(str(text)) for text in texts)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
