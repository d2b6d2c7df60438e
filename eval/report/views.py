"""A clip as the report shows it: caption, attention of each word, references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from captioner.manifest import Clip
from captioner.outputs.svg import Svg
from captioner.video.config import VideoConfig
from eval.report.plots import heat
from eval.report.strips import try_strip
from eval.scores.evaluation import ClipScore


@dataclass(frozen=True, kw_only=True)
class WordView:
    """A word and the picture of its attention."""

    text: str
    heat: Svg


@dataclass(frozen=True, kw_only=True)
class SeenView:
    """The frames of a clip, and where each word of its caption looked."""

    strip: str | None
    """Data URI of the frames."""
    note: str
    """Why there are no frames."""
    words: tuple[WordView, ...]
    begin_seconds: float
    end_seconds: float
    saw: str = ""
    """The nouns that the CNN's own classifier saw, with their probabilities."""


@dataclass(frozen=True, kw_only=True)
class ClipView:
    """A scored clip, with all that is drawn of it."""

    clip: ClipScore
    confidence: float | None
    seen: SeenView
    references: tuple[tuple[str, int], ...]
    """Each different reference and how many people gave it, the commonest first."""


def seen(row: Mapping[str, Any], *, source: Clip | None, video: VideoConfig, images: bool = True) -> SeenView:
    """Frames and attention of the captioned ``row``."""
    picture, note = None, "left out with --no-images"
    if images:
        picture, note = (None, "the references name no file for it") if source is None else try_strip(source, video)
    times = row.get("times_seconds") or [0.0]
    saw = ", ".join(f"{s['noun']} {100 * s['probability']:.0f} %" for s in row.get("evidence", []))
    return SeenView(strip=picture, note=note, words=_words(row), begin_seconds=times[0], end_seconds=times[-1], saw=saw)


def _words(row: Mapping[str, Any]) -> tuple[WordView, ...]:
    spoken = row.get("words", [])
    top = max((share for word in spoken for share in word["attention"]), default=0.0)
    return tuple(
        WordView(
            text=word["text"],
            heat=heat(
                word["attention"],
                top=top,
                label=f"{word['text']}: most attention at {word['peak_seconds']:.1f} s "
                f"({100 * max(word['attention'], default=0):.0f} %)",
            ),
        )
        for word in spoken
    )
