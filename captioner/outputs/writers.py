"""Captions in the formats that people use them in: one function a format, each yielding text to be written.

Every writer is a generator over captions, so that a long run's results appear as they are made; ``json`` and
``coco`` are one document and close it at the end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from captioner.caption.result import Caption
from captioner.errors import counted
from captioner.outputs.rows import row
from captioner.outputs.spreadsheet import csv_line
from captioner.outputs.subtitles import clock, shown_ms, srt, vtt
from captioner.safe.text import visible

Writer = Callable[[Iterable[Caption]], Iterator[str]]

CSV_FIELDS = (
    *("path", "id", "caption", "confidence", "calibrated", "abstained", "score", "log_prob"),
    *("start_seconds", "end_seconds", "times_seconds", "alternatives", "warnings", "model"),
    "scene_seconds",
)


def txt(captions: Iterable[Caption]) -> Iterator[str]:
    """The caption alone, one a line, prefixed ``unsure:`` if its confidence is low.

    Where it describes one scene of several, the scene's time follows.
    """
    for caption in captions:
        yield f"{caption.told}{_scene(caption)}\n"


def named_txt(captions: Iterable[Caption]) -> Iterator[str]:
    """``path: sentence``, one a line: the text format when there are several files."""
    for caption in captions:
        yield f"{visible(caption.path)}: {caption.told}{_scene(caption)}\n"


def _scene(caption: Caption) -> str:
    return "" if caption.scene_seconds is None else " ({} - {})".format(*_clocks(caption))


def _clocks(caption: Caption) -> list[str]:
    """Start and end as ``00:00:04.2``."""
    return [clock(moment, ".")[:-2] for moment in shown_ms(caption)]


def timed_txt(captions: Iterable[Caption]) -> Iterator[str]:
    """``start - end  sentence``, one a line: the text format of a film in segments."""
    for caption in captions:
        begin, end = _clocks(caption)
        yield f"{begin} - {end}  {caption.told}\n"


def looked_at(caption: Caption) -> str:
    """What a caption was made of, for people."""
    times = caption.times_seconds
    seen = f"{counted(len(times), 'frame')} from {times[0]:.1f} to {times[-1]:.1f} s" if times else "no frames"
    return f"{seen}, confidence {caption.confidence:.2f}"


def jsonl(captions: Iterable[Caption], *, words: bool = True) -> Iterator[str]:
    """One JSON object a line."""
    for caption in captions:
        yield json.dumps(row(caption, words=words), ensure_ascii=False) + "\n"


def as_json(captions: Iterable[Caption], *, words: bool = True) -> Iterator[str]:
    """One JSON list."""
    yield from _list(json.dumps(row(caption, words=words), ensure_ascii=False, indent=1) for caption in captions)


def coco(captions: Iterable[Caption]) -> Iterator[str]:
    """coco-caption's results format: a list of ``image_id`` (the manifest's id, or the path) and ``caption``."""
    rows = ({"image_id": caption.id or caption.path, "caption": caption.text} for caption in captions)
    yield from _list(json.dumps(r, ensure_ascii=False) for r in rows)


def _list(items: Iterable[str]) -> Iterator[str]:
    opening = "[\n"
    for item in items:
        yield opening + item
        opening = ",\n"
    yield "[]\n" if opening == "[\n" else "\n]\n"


def as_csv(captions: Iterable[Caption]) -> Iterator[str]:
    """A table that is safe to open in a spreadsheet: nothing in it can be taken for a formula."""
    yield csv_line(CSV_FIELDS)
    for caption in captions:
        lists = {
            "times_seconds": " ".join(f"{t:.3f}" for t in caption.times_seconds),
            "alternatives": "; ".join(a.text for a in caption.alternatives[1:]),
            "warnings": "; ".join(caption.warnings),
            "scene_seconds": " ".join(f"{t:.3f}" for t in caption.scene_seconds or ()),
        }
        values = row(caption, words=False) | lists | {"id": caption.id or caption.path}
        yield csv_line(values[name] for name in CSV_FIELDS)


@dataclass(frozen=True, kw_only=True)
class Format:
    """An output format: its writer, and what it needs of the file that it goes to."""

    write: Writer
    is_document: bool = False
    """Whether a file of it is worth nothing until its end is written."""
    of_one_video: bool = False
    """Whether a file of it belongs to one video."""


FORMATS: dict[str, Format] = {
    "txt": Format(write=txt),
    "jsonl": Format(write=jsonl),
    "json": Format(write=as_json, is_document=True),
    "csv": Format(write=as_csv),
    "srt": Format(write=srt, of_one_video=True),
    "vtt": Format(write=vtt, of_one_video=True),
    "coco": Format(write=coco, is_document=True),
}
"""All formats by the names that ``-f`` takes. A new one is a function above and a line here."""


def writer(name: str, *, words: bool = False, many: bool = False, segments: bool = False) -> Writer:
    """The writer of a format: with the attention of each word, for several files, for segments."""
    if name == "txt" and many:
        return named_txt
    if name == "txt" and segments:
        return timed_txt
    if name in ("json", "jsonl"):
        return partial(jsonl if name == "jsonl" else as_json, words=words)
    return FORMATS[name].write
