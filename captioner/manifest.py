"""Clips and their captions or labels as JSON Lines: the one format that every data set is turned into.

One object a line: ``{"id": "vid1", "path": "clips/a.mp4", "split": "train", "captions": ["a man ..."]}``, or with
``"labels": ["riding a horse"]`` for the recognition of actions, and with optional ``start_seconds``, ``end_seconds``,
``category`` and ``abnormal``. ``path`` is relative to the manifest's folder; a record without ``path`` is text without
a clip (for the language model).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.errors import DataError
from captioner.safe.json_text import json_lines
from captioner.safe.text import read_text
from captioner.safe.whole import write_whole

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A video (or a part of one, or a photo) with what people said of it."""

    id: str
    path: Path | None
    split: str
    captions: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """Its classes, for the recognition of actions."""
    start_seconds: float | None = None
    end_seconds: float | None = None
    category: str | None = None
    abnormal: tuple[tuple[float, float], ...] = ()
    """Spans in seconds in which something is abnormal, for anomaly detection."""

    @property
    def described(self) -> bool:
        """Whether it has captions or labels."""
        return bool(self.captions or self.labels)


_KEYS = {"id", "path", "split", "captions", "labels", "start_seconds", "end_seconds", "category", "abnormal"}


def read_manifest(path: str | Path, *, split: str | None = None) -> list[Clip]:
    """The clips of a manifest, in order; ``split`` keeps one split only.

    Raises DataError, with the line's number, on anything malformed, on a repeated id, and when nothing is left.
    """
    path = Path(path)
    clips: dict[str, Clip] = {}
    for where, row in json_lines(read_text(path, what="the manifest"), name=path):
        clip = _clip(row, path.parent, where)
        if clip.id in clips:
            raise DataError(f"{where}: the id {clip.id!r} appears twice")
        clips[clip.id] = clip
    if not clips:
        raise DataError(f"{path} holds no clips")
    if split is None:
        return list(clips.values())
    chosen = [clip for clip in clips.values() if clip.split == split]
    if not chosen:
        there = ", ".join(sorted({clip.split for clip in clips.values()}))
        raise DataError(f"{path} has no clip in the split {split!r}; it has: {there}")
    return chosen


def _clip(row: Any, folder: Path, where: str) -> Clip:
    def check(holds: object, message: str) -> None:
        if not holds:
            raise DataError(f"{where}: {message}")

    check(isinstance(row, dict), "expected an object with id, path, split and captions or labels")
    unknown = sorted(set(row) - _KEYS)
    check(not unknown, f"unknown key {(unknown or [None])[0]!r}; known: {', '.join(sorted(_KEYS))}")
    name, split, file, category = row.get("id"), row.get("split", "test"), row.get("path"), row.get("category")
    captions, labels, spans = (row.get(key, []) for key in ("captions", "labels", "abnormal"))
    start, end = row.get("start_seconds"), row.get("end_seconds")
    check(name and isinstance(name, str), "'id' must be a non-empty string")
    check(split in SPLITS, f"the split {split!r} is not one of {', '.join(SPLITS)}")
    check(_are_texts(captions), "'captions' must be a list of strings")
    check(_are_texts(labels) and all(map(str.strip, labels)), "'labels' must be a list of names")
    check(file is None or (file and isinstance(file, str)), "'path' must be a file name")
    for key, value in (("start_seconds", start), ("end_seconds", end)):
        check(value is None or _is_seconds(value), f"{key!r} must be a number of seconds, not {value!r}")
    check(None in (start, end) or start < end, f"end_seconds ({end}) must be after start_seconds ({start})")
    check(category is None or isinstance(category, str), "'category' must be a string")
    check(isinstance(spans, list) and all(map(_is_span, spans)), "'abnormal' must be a list of [start, end] in seconds")
    return Clip(
        id=name,
        path=None if file is None else folder / file,
        split=split,
        captions=tuple(captions),
        labels=tuple(labels),
        start_seconds=None if start is None else float(start),
        end_seconds=None if end is None else float(end),
        category=category,
        abnormal=tuple((float(start), float(end)) for start, end in spans),
    )


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= sys.float_info.max


def _is_span(span: Any) -> bool:
    return isinstance(span, list) and len(span) == 2 and all(map(_is_seconds, span)) and span[0] < span[1]


def write_manifest(path: str | Path, clips: Iterable[Clip], *, overwrite: bool = True) -> int:
    """Write ``clips`` to ``path``, whole or not at all; returns how many. Without ``overwrite`` other content stays.

    File paths are stored relative to the manifest's folder where they lie below it, absolute otherwise.
    """
    path = Path(path)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(clips, path.parent)]
    write_whole(path, "".join(lines), overwrite=overwrite, make_folder=True)
    return len(lines)


def _rows(clips: Iterable[Clip], folder: Path) -> Iterator[dict[str, Any]]:
    base = folder.resolve()
    for clip in clips:
        row: dict[str, Any] = {"id": clip.id}
        if clip.path is not None:
            full = clip.path.absolute()
            row["path"] = str(full.relative_to(base)) if full.is_relative_to(base) else str(full)
        row["split"] = clip.split
        if clip.captions or not clip.labels:
            row["captions"] = list(clip.captions)
        if clip.labels:
            row["labels"] = list(clip.labels)
        for key in ("start_seconds", "end_seconds", "category"):
            if (value := getattr(clip, key)) is not None:
                row[key] = value
        if clip.abnormal:
            row["abnormal"] = [list(span) for span in clip.abnormal]
        yield row
