"""Captions in the formats that people use them in: one function a format, each yielding text to be written.

Every writer is a generator over captions, so that a long run's results appear as they are made; ``json`` and
``coco`` are one document and close it at the end.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from captioner.pipeline import Caption

Writer = Callable[[Iterable[Caption]], Iterator[str]]

CSV_FIELDS = ("path", "caption", "confidence", "score", "start_seconds", "end_seconds", "warnings", "model")


def row(caption: Caption) -> dict[str, Any]:
    """A caption as plain values: what JSON and JSON Lines hold."""
    return {
        "path": caption.path,
        "caption": caption.text,
        "confidence": round(caption.confidence, 4),
        "calibrated": caption.calibrated,
        "abstained": caption.abstained,
        "score": round(caption.score, 4),
        "log_prob": round(caption.log_prob, 4),
        "start_seconds": round(caption.start_seconds, 3),
        "end_seconds": None if caption.end_seconds is None else round(caption.end_seconds, 3),
        "times_seconds": [round(t, 3) for t in caption.times_seconds],
        "words": [
            {
                "text": word.text,
                "peak_seconds": round(word.peak_seconds, 3),
                "attention": [round(a, 4) for a in word.attention],
            }
            for word in caption.words
        ],
        "alternatives": [
            {"caption": a.text, "score": round(a.score, 4), "log_prob": round(a.log_prob, 4)}
            for a in caption.alternatives
        ],
        "warnings": list(caption.warnings),
        "model": caption.model,
    }


def txt(captions: Iterable[Caption]) -> Iterator[str]:
    """The sentence alone, one a line."""
    for caption in captions:
        yield caption.text + "\n"


def named_txt(captions: Iterable[Caption]) -> Iterator[str]:
    """``path: sentence``, one a line: the text format when there are several files."""
    for caption in captions:
        yield f"{caption.path}: {caption.text}\n"


def jsonl(captions: Iterable[Caption]) -> Iterator[str]:
    """One JSON object a line."""
    for caption in captions:
        yield json.dumps(row(caption), ensure_ascii=False) + "\n"


def as_json(captions: Iterable[Caption]) -> Iterator[str]:
    """One JSON list."""
    yield from _list(json.dumps(row(caption), ensure_ascii=False, indent=1) for caption in captions)


def coco(captions: Iterable[Caption]) -> Iterator[str]:
    """coco-caption's results format: a list of ``image_id`` (the path) and ``caption``."""
    rows = ({"image_id": caption.path, "caption": caption.text} for caption in captions)
    yield from _list(json.dumps(r, ensure_ascii=False) for r in rows)


def _list(items: Iterable[str]) -> Iterator[str]:
    opening = "[\n"
    for item in items:
        yield opening + item
        opening = ",\n"
    yield "[]\n" if opening == "[\n" else "\n]\n"


def as_csv(captions: Iterable[Caption]) -> Iterator[str]:
    """A table that is safe to open in a spreadsheet: nothing in it can be taken for a formula."""
    yield _csv_line(CSV_FIELDS)
    for caption in captions:
        values = row(caption) | {"warnings": "; ".join(caption.warnings)}
        yield _csv_line([_harmless(values[name]) for name in CSV_FIELDS])


def _csv_line(values: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def _harmless(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it (OWASP, CSV injection)."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value


def srt(captions: Iterable[Caption]) -> Iterator[str]:
    """SubRip: a numbered cue for each caption."""
    for number, caption in enumerate(captions, start=1):
        begin, end = _span(caption)
        yield f"{number}\n{_clock(begin, ',')} --> {_clock(end, ',')}\n{caption.text}\n\n"


def vtt(captions: Iterable[Caption]) -> Iterator[str]:
    """WebVTT: a cue for each caption."""
    yield "WEBVTT\n\n"
    for caption in captions:
        begin, end = _span(caption)
        text = caption.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        yield f"{_clock(begin, '.')} --> {_clock(end, '.')}\n{text}\n\n"


def _span(caption: Caption) -> tuple[float, float]:
    """Start and end of the cue, at least a second apart (a photo has no length of its own)."""
    end = caption.end_seconds if caption.end_seconds is not None else max(caption.times_seconds)
    return caption.start_seconds, max(end, caption.start_seconds + 1.0)


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"


WRITERS: dict[str, Writer] = {
    "txt": txt,
    "jsonl": jsonl,
    "json": as_json,
    "csv": as_csv,
    "srt": srt,
    "vtt": vtt,
    "coco": coco,
}
