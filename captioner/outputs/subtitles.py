"""Captions as subtitles that any player reads: SubRip and WebVTT."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from captioner.caption.result import Caption

LINE_LENGTH = 42
"""Characters a line, as broadcasters have it; longer captions are wrapped into lines of about the same length."""


@dataclass(frozen=True, kw_only=True)
class Cue:
    """What is shown, and when."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


def cues(captions: Iterable[Caption]) -> Iterator[Cue]:
    """A cue for each caption, as it comes, prefixed ``unsure:`` if its confidence is low.

    Those of one file begin no earlier than the one before has ended, and end after they begin. A caption without
    words has none.
    """
    path, shown = None, 0
    for caption in captions:
        if caption.path != path:
            path, shown = caption.path, 0
        start, end = shown_ms(caption)
        start = max(shown, start)
        lines = wrap(caption.told) if caption.text.strip() else ()
        if lines and end > start:
            yield Cue(start_ms=start, end_ms=end, lines=lines)
            shown = end


def shown_ms(caption: Caption) -> tuple[int, int]:
    """Start and end in milliseconds, of the scene that the caption describes, or of all.

    A picture, which has no length of its own, is shown for a second.
    """
    if caption.scene_seconds is not None:
        start, end = caption.scene_seconds
        return _milliseconds(start), _milliseconds(end)
    begin = _milliseconds(caption.start_seconds)
    if caption.end_seconds is not None:
        return begin, _milliseconds(caption.end_seconds)
    return begin, max(begin + 1000, _milliseconds(max(caption.times_seconds, default=0.0)))


def srt(captions: Iterable[Caption]) -> Iterator[str]:
    """SubRip, a numbered cue at a time. What a player could take for markup gets a space into it."""
    for number, cue in enumerate(cues(captions), start=1):
        text = re.sub(r"<(?=[A-Za-z/])|\{(?=\\)", r"\g<0> ", "\n".join(cue.lines))
        yield f"{number}\n{clock(cue.start_ms, ',')} --> {clock(cue.end_ms, ',')}\n{text}\n\n"


def vtt(captions: Iterable[Caption]) -> Iterator[str]:
    """WebVTT (W3C), a cue at a time."""
    yield "WEBVTT\n\n"
    for cue in cues(captions):
        text = "\n".join(cue.lines).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        yield f"{clock(cue.start_ms, '.')} --> {clock(cue.end_ms, '.')}\n{text}\n\n"


def wrap(text: str) -> tuple[str, ...]:
    """The text in as few lines of ``LINE_LENGTH`` as it takes, none much longer than the others.

    White space of any kind is a space, other control characters are left out, and an arrow, which would end the text
    of a cue, is a shorter one.
    """
    text = "".join(c for c in " ".join(text.split()) if c.isprintable())
    text = re.sub(r"-+->", "->", text)
    lines = textwrap.wrap(text, LINE_LENGTH)
    shortest = -(-len(text) // len(lines)) if lines else LINE_LENGTH
    for width in range(shortest, LINE_LENGTH):
        evener = textwrap.wrap(text, width)
        if len(evener) == len(lines):
            return tuple(evener)
    return tuple(lines)


def clock(milliseconds: int, point: str) -> str:
    """``hh:mm:ss`` and the thousandths after ``point``."""
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))
