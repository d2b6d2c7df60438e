"""What a visitor corrected, as sentences to show and as training data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from captioner.caption.result import Caption

MOST_LETTERS = 300

Corrections = Mapping[str, str]
"""The corrections of one visit: a line of a manifest by the id of its clip."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """The captions of one result, and which of them the visitor has corrected."""

    captions: tuple[Caption, ...] = ()
    pictures: tuple[str, ...] = ()
    """One for each caption, as ``data:`` URIs, where they are shown as a list."""
    reasons: tuple[str, ...] = ()
    """Why it says so, one for each caption, as HTML; where they are shown one by one."""
    meaning: str = ""
    """What their confidence is the chance of; empty where it is not calibrated."""
    parts: bool = False
    """Whether each is of a part of a video; else only one that starts late is."""
    corrected: frozenset[int] = frozenset()
    name: str = ""
    """Of the result on the shelf."""

    def add(self, caption: Caption, picture: str) -> Told:
        """The same with one more caption."""
        return replace(self, captions=(*self.captions, caption), pictures=(*self.pictures, picture))

    def correct(self, index: int, text: str) -> Told:
        """The same with one sentence replaced; an empty one, or an index that is none, changes nothing."""
        text = " ".join(text.split())[:MOST_LETTERS]
        if not text or not 0 <= index < len(self.captions):
            return self
        captions = list(self.captions)
        captions[index] = replace(captions[index], text=text, abstained=False)
        return replace(self, captions=tuple(captions), corrected=self.corrected | {index})

    def corrections(self) -> dict[str, str]:
        """The corrected captions as lines of a manifest, which ``captioner train`` learns from.

        Sentences of the same clip stand in one line.
        """
        rows: dict[str, dict[str, Any]] = {}
        for index in sorted(self.corrected):
            caption = self.captions[index]
            span = self._span(caption)
            name = f"{caption.path}@{span['start_seconds']}" if span else caption.path
            row = {"id": name, "path": caption.path, "split": "train", "captions": []} | span
            sentences = rows.setdefault(name, row)["captions"]
            sentences += [caption.text] * (caption.text not in sentences)
        return {name: json.dumps(row, ensure_ascii=False) + "\n" for name, row in rows.items()}

    def _span(self, caption: Caption) -> dict[str, float]:
        """Where a part of a video lies in it; nothing for a whole video."""
        if not self.parts and not caption.start_seconds:
            return {}
        span = {"start_seconds": caption.start_seconds, "end_seconds": caption.end_seconds}
        return {name: round(seconds, 3) for name, seconds in span.items() if seconds is not None}
